TARGETS = ("host", "session", "daemon", "cli")
def kill(*a): raise NotImplementedError
