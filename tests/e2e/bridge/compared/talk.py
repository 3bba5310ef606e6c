#!/usr/bin/env python3
# talk END [PROXY_PORT]: END is a port of 127.0.0.1, or the path of a socket.
import os, socket, sys, threading, time

end, proxy = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None


def connect():
    if proxy:
        one = socket.create_connection(("127.0.0.1", int(proxy)))
        one.sendall(b"\x05\x01\x00")
        assert one.recv(2) == b"\x05\x00"
        name = b"localhost"
        one.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + int(end).to_bytes(2, "big"))
        answer = one.recv(10, socket.MSG_WAITALL)
        if answer[1]:
            sys.exit("the proxy says %d" % answer[1])
        return one
    if end.startswith("/"):
        one = socket.socket(socket.AF_UNIX)
        one.connect(end)
        return one
    return socket.create_connection(("127.0.0.1", int(end)))


# Who starts to listen may need a moment.
deadline = time.monotonic() + 30
while True:
    try:
        stream = connect()
        break
    except OSError as error:
        if time.monotonic() > deadline:
            sys.exit(str(error))
        time.sleep(0.02)


def send():
    try:
        while data := os.read(0, 65536):
            stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # The other side has gone.


threading.Thread(target=send, daemon=True).start()
try:
    while data := stream.recv(65536):
        sys.stdout.buffer.write(data)
except ConnectionResetError:
    pass
sys.stdout.flush()
