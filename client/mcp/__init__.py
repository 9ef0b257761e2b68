"""The open workflow as tools for agents, over the Model Context Protocol."""
