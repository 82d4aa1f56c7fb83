"""What the project is compared with in the same run: how a team would write it without this project."""
