"""The deployment: tables of what runs in the cloud, and the code that plans the commands. It is not uploaded itself."""
