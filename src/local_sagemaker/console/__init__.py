"""The console: a page for people, and what it reads. It serves itself and asks nothing outside."""
