import os
import threading


def in_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def rounded(value):
    return round(value) if value > 1 else 1


def unused():
    return os.getpid()
