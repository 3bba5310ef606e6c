# What programs do with paramiko; argv: direct or through, a configuration of ssh, a directory, a port that echoes.
import hashlib, os, socket, stat, sys, threading
import paramiko

way, path, where, echo = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
config = paramiko.SSHConfig.from_path(path).lookup("web1")
noise = hashlib.shake_256(b"noise").digest(2_000_000)


def connected():
    if way == "direct":
        client = paramiko.SSHClient()
        client.load_host_keys(config["userknownhostsfile"])
        client.connect(config["hostname"], int(config["port"]), config["user"], key_filename=config["identityfile"], allow_agent=False, look_for_keys=False)
        return client.get_transport(), client
    # It knows no %n.
    proxy = paramiko.ProxyCommand(config["proxycommand"].replace("%n", "web1"))
    transport = paramiko.Transport(proxy)
    transport.start_client(timeout=60)
    known = paramiko.HostKeys(config["userknownhostsfile"].strip('"'))
    assert known.check(config["hostkeyalias"], transport.get_remote_server_key())
    transport.auth_none(config["user"])
    return transport, proxy


transport, kept = connected()


def run(line, stdin=b""):
    channel = transport.open_session()
    channel.exec_command(line)
    writer = threading.Thread(target=lambda: (channel.sendall(stdin), channel.shutdown_write()))
    writer.start()
    out = channel.makefile("rb").read()
    err = channel.makefile_stderr("rb").read()
    writer.join()
    return channel.recv_exit_status(), out, err


print(run("echo out; echo err >&2; exit 3"))
status, out, err = run("cat", noise)
print(status, out == noise, err)

# Requests that wait for no answer, on several channels at once.
channels = [transport.open_session() for _ in range(6)]
for number, channel in enumerate(channels):
    channel.exec_command(f"cat; echo {number}; exit {number}")
for channel in channels:
    channel.sendall(b"fed ")
    channel.shutdown_write()
print([(c.makefile("rb").read(), c.recv_exit_status()) for c in channels])

# A terminal, and another size of it.
channel = transport.open_session()
channel.get_pty("vt100", 91, 33)
channel.exec_command("stty size; read x; stty size; exit 4")
seen = b""
while b"33 91" not in seen:
    seen += channel.recv(1000)
channel.resize_pty(50, 20)
channel.sendall(b"\n")
while part := channel.recv(1000):
    seen += part
print(seen.replace(b"\r", b"").split(), channel.recv_exit_status())

# Files.
sftp = paramiko.SFTPClient.from_transport(transport)
at = lambda name: where + "/" + name
sftp.mkdir(at("new"))
with sftp.open(at("new/file"), "wb") as file:
    file.set_pipelined(True)
    for start in range(0, len(noise), 30_000):
        file.write(noise[start : start + 30_000])
with sftp.open(at("new/file"), "rb") as file:
    file.prefetch()
    print(file.read() == noise)
with sftp.open(at("new/file"), "r+b") as file:
    file.seek(1_000_000)
    file.write(b"in the midst")
    print(file.readv([(0, 10), (999_995, 20), (1_999_990, 10)]).__next__())
sftp.chmod(at("new/file"), 0o640)
sftp.utime(at("new/file"), (1_000_000_000, 1_000_000_001))
sftp.truncate(at("new/file"), 1_500_000)
sftp.utime(at("new/file"), (1_000_000_000, 1_000_000_001))
sftp.symlink("file", at("new/link"))
about = sftp.stat(at("new/link"))
print(about.st_size, oct(about.st_mode), about.st_mtime, stat.S_ISLNK(sftp.lstat(at("new/link")).st_mode))
sftp.posix_rename(at("new/file"), at("new/other"))
sftp.symlink("other", at("new/again"))
print(sorted(sftp.listdir(at("new"))), sftp.readlink(at("new/again")), sftp.normalize(at("new/../new")) == at("new"))
for call in (lambda: sftp.stat(at("missing")), lambda: sftp.rmdir(at("new")), lambda: sftp.open(at("missing"))):
    try:
        call()
    except OSError as error:
        print(type(error).__name__, error.errno, str(error).replace(where, ""))
sftp.close()

# Forwards, there and back.
channel = transport.open_channel("direct-tcpip", ("127.0.0.1", echo), ("127.0.0.1", 0))
channel.sendall(b"hello")
channel.shutdown_write()
print(channel.makefile("rb").read())
port = transport.request_port_forward("127.0.0.1", 0)
from_there = socket.create_connection(("127.0.0.1", port))
channel = transport.accept(60)
from_there.sendall(b"from there")
from_there.shutdown(socket.SHUT_WR)
print(channel.makefile("rb").read())
channel.sendall(b"from here")
channel.close()
print(from_there.makefile("rb").read())
transport.cancel_port_forward("127.0.0.1", port)

# Keys anew, something of no meaning, and it goes on.
transport.renegotiate_keys()
transport.send_ignore()
transport.global_request("keepalive@example.org", wait=True)
print(run("echo on it goes"))
transport.close()
