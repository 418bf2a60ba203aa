"""What the tests of the shell scripts share."""


def early_signal(folder, number, name):
    """Environment in which bash gets a signal just before ``NAME=$!``: its child runs and it does not know the number yet."""
    # -T: in functions, too
    start = folder / "early.bash"
    start.write_text(f"""set -T; trap '[ "$BASH_COMMAND" != "{name}=\\$!" ] || kill -{number:d} $$' DEBUG\n""")
    return {"BASH_ENV": str(start)}
