"""Children that answer without trying anything: ``python -m tests.certificate.children WHAT...``, torch left out."""

import json
import os
import signal
import sys
import time


def answer(**content):
    print(json.dumps(content), flush=True)


def main(behaviours):
    """What a task's form or pass does: "lstm=hang", "backward=crash", "start=crash"; all else is right."""
    does = dict(word.split("=") for word in behaviours if "=" in word)
    tasks = json.loads(sys.stdin.readline())
    if "count" in does:
        with open(does["count"], "a") as file:
            file.write("tried\n")
    act(does.get("start", ""))
    answer(ready=True)
    for number, (_, form, _, way) in enumerate(tasks):
        answer(begin=number)
        act(does.get(form) or does.get(way, ""))
        answer(end=number, wrong="off by 3" if "wrong" in (does.get(form), does.get(way)) else "")
        if does.get(form) == "lose":
            return


def act(behaviour):
    if behaviour == "hang":
        time.sleep(60)
    elif behaviour == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif behaviour == "exit":
        sys.exit("no kernel image")
    elif behaviour == "full":
        answer(cannot="out of memory")
        sys.exit()
    elif behaviour == "slow":
        time.sleep(0.5)
    elif behaviour == "noise":
        print("a library says something", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
