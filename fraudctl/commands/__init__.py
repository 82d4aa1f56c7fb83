"""One module per command or family of them: it parses, calls the package that owns the matter, and shows the result.

What a module needs beyond typer it imports inside its functions: `fraudctl --help` imports them all.
"""
