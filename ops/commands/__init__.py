"""The commands: a module a word, each with a `click.Command` called ``command``; imported when its word is used."""
