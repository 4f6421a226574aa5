"""A window of Tk, whose main loop makes half of the calls, and threads that report their results to it the rest."""

import queue
import threading
import tkinter

import caller

accounts = caller.account_ids()
by_the_loop, by_threads = accounts[::2], accounts[1::2]
window = tkinter.Tk()
answers: dict[str, object] = {}
found: "queue.SimpleQueue[tuple[str, object]]" = queue.SimpleQueue()


def call_next() -> None:
    """Makes one call, and schedules the next one on the main loop."""
    if by_the_loop:
        account_id = by_the_loop.pop()
        answers[account_id] = caller.names_or_error(account_id)
    while not found.empty():
        answers.update([found.get()])
    if len(answers) == len(accounts):
        window.destroy()
    else:
        window.after(1, call_next)


def call_in_thread(mine: list[str]) -> None:
    for account_id in mine:
        found.put((account_id, caller.names_or_error(account_id)))


threads = [threading.Thread(target=call_in_thread, args=(by_threads[start::4],)) for start in range(4)]
for thread in threads:
    thread.start()
window.after(0, call_next)
window.mainloop()
for thread in threads:
    thread.join()
caller.report(answers)
