"""The devops agent: from a ticket to applied, verified and documented infrastructure."""
