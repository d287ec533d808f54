"""The cache on the command line."""


def test_figures_of_the_cache_are_shown_and_it_is_emptied(command):
    shown = command("cache", "stats")
    figures = command.json("cache", "stats")

    assert "answer" in shown.out
    assert figures["used"]
    assert set(figures["classes"]) == {"answer", "memory", "vector"}


def test_cache_of_a_running_server_is_emptied(command, serve):
    server = serve(command)
    command("add", "green tea")
    command("search", "tea")

    for _ in range(200):
        if command.json("cache", "stats")["server"]["answers"]:
            break
    warmed = command.json("cache", "warm")
    emptied = command.json("cache", "clear")
    said = command("cache", "clear")

    assert set(warmed) == {"tenants", "searches"}
    assert emptied["deleted"] >= 1
    assert "deleted" in said.out
    server.stop()
