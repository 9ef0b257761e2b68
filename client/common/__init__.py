"""What every part of the client uses: errors, events, files, results and the table of commands."""
