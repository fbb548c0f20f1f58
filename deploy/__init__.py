"""The deployment: tables of what runs in the cloud, and the plans that take a project there. Not deployed itself."""
