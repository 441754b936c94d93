"""What a run of a change leaves behind: a page, a JSON object, a recording, and the lines on the terminal.

Import from its modules: those that tell a message in words need nothing else of it.
"""
