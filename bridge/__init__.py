"""The live graph: command declarations, one manager per open tab, the two transports, access and errors."""
