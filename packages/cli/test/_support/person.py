"""Runs a command on a pseudo-terminal of 80x24 and plays a person.

argv[1] is JSON: {argv, env, cwd, steps: [{expect, send}], limit}. Each step waits until the regular expression
`expect` matches what was printed since the last step, then types `send`. Prints JSON {output, code, signal, matched}.
"""
import fcntl, json, os, pty, re, select, signal, struct, sys, termios, time

plan = json.loads(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    os.chdir(plan["cwd"])
    os.execve(plan["argv"][0], plan["argv"], plan["env"])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

output, mark, steps = "", 0, list(plan["steps"])
matched = 0
deadline = time.monotonic() + plan["limit"]
while True:
    if time.monotonic() > deadline:
        os.kill(pid, signal.SIGKILL)
        break
    ready, _, _ = select.select([terminal], [], [], 0.1)
    if ready:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        output += data.decode("utf-8", "replace")
    if steps and re.search(steps[0]["expect"], output[mark:]):
        time.sleep(0.3)
        mark = len(output)
        os.write(terminal, steps.pop(0)["send"].encode())
        matched += 1
_, status = os.waitpid(pid, 0)
code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
print(json.dumps({"output": output, "code": code, "signal": killed, "matched": matched}))
