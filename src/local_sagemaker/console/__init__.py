"""The console: a web page and the JSON that it reads. It loads nothing from other hosts."""
