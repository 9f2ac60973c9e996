"""Ways to run a container's command: in Docker, or as a process of this machine."""
