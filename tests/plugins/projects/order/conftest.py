import os


def pytest_collection_finish(session):
    with open(session.config.rootpath / ".made" / f"{os.getpid()}.txt", "w") as file:
        file.write("\n".join(item.nodeid for item in session.items))
