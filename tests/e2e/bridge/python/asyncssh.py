# What programs do with asyncssh; argv: a configuration of ssh, a directory, a port that echoes.
import asyncio, hashlib, os, sys
import asyncssh

path, where, echo = sys.argv[1], sys.argv[2], int(sys.argv[3])
noise = hashlib.shake_256(b"noise").digest(2_000_000)


async def shown(name, what):
    try:
        print(name, await what)
    except (asyncssh.Error, OSError) as error:
        print(name, type(error).__name__, getattr(error, "code", ""), str(error).replace(where, ""))


async def main():
    # It takes a configuration that wants no authentication for one that says nothing.
    async with asyncssh.connect("web1", config=[path], preferred_auth="publickey") as connection:
        done = await connection.run("echo out; echo err >&2; exit 3")
        print(done.exit_status, done.stdout, done.stderr)
        done = await connection.run("cat", input=noise, encoding=None)
        print(done.exit_status, done.stdout == noise)
        done = await connection.run("exec timeout -s KILL 0.2 sleep 1000")
        print(done.exit_status, done.exit_signal, done.returncode)

        # All asked at once.
        all = [connection.run(f"cat; exit {number}", input=f"fed {number}") for number in range(8)]
        print([(one.stdout, one.exit_status) for one in await asyncio.gather(*all)])

        # A conversation, and a terminal of another size later.
        async with connection.create_process("while read x; do echo \"<$x>\"; done") as process:
            for word in ("one", "two"):
                process.stdin.write(word + "\n")
                print((await process.stdout.readline()).strip())
            process.stdin.write_eof()
            await process.wait()
        process = await connection.create_process("stty size; read x; stty size", term_type="vt100", term_size=(91, 33))
        seen = await process.stdout.readline()
        process.change_terminal_size(50, 20)
        process.stdin.write("\n")
        seen += await process.stdout.read()
        print(seen.split(), process.exit_status)

        # Files, with many calls at once.
        async with connection.start_sftp_client() as sftp:
            os.makedirs(where + "/here/deep")
            for name in ("noise", "deep/small", "deep/empty"):
                with open(f"{where}/here/{name}", "wb") as file:
                    file.write(noise[: {"noise": 2_000_000, "deep/small": 10, "deep/empty": 0}[name]])
                os.utime(f"{where}/here/{name}", (1_000_000_000, 1_000_000_001))
            await sftp.put(where + "/here", where + "/there", recurse=True, preserve=True)
            await sftp.get(where + "/there", where + "/back", recurse=True, preserve=True)
            async with sftp.open(where + "/there/noise", "r+b") as file:
                await file.seek(1_000_000)
                await file.write(b"in the midst")
                parts = await asyncio.gather(*(file.read(1000, n * 1000) for n in range(1500)))
                print(hashlib.sha256(b"".join(parts)).hexdigest())
            print(sorted(await sftp.listdir(where + "/there")), await sftp.exists(where + "/missing"))
            print(sorted(await sftp.glob(where + "/there/*/*")))
            await sftp.chmod(where + "/there/noise", 0o600)
            await sftp.symlink("noise", where + "/there/link")
            await sftp.posix_rename(where + "/there/noise", where + "/there/other")
            print(await sftp.readlink(where + "/there/link"))
            await shown("stat", sftp.stat(where + "/missing"))
            await shown("rmdir", sftp.rmdir(where + "/there"))
            await sftp.rmtree(where + "/there/deep")
        await asyncssh.scp(where + "/here/noise", (connection, where + "/copied"), preserve=True)
        await asyncssh.scp((connection, where + "/copied"), where + "/copied-back")

        # Forwards, there and back.
        listener = await connection.forward_local_port("127.0.0.1", 0, "127.0.0.1", echo)
        print(await said(listener.get_port(), b"by a port"))
        listener.close()
        listener = await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", echo)
        print(await said(listener.get_port(), b"by the server's"))
        listener.close()
        reader, writer = await connection.open_connection("127.0.0.1", echo)
        writer.write(b"without a port")
        writer.write_eof()
        print(await reader.read())

        done = await connection.run("echo on it goes")
        print(done.stdout)


async def said(port, word):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(word)
    writer.write_eof()
    return await reader.read()


asyncio.run(main())
