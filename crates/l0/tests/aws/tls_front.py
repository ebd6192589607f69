"""TLS before a plain server: HOST PORT CERTIFICATE KEY UPSTREAM_HOST UPSTREAM_PORT. Passes all bytes on in both directions.
Prints `ready` once it listens, and ends with its standard input."""
import os
import socket
import ssl
import sys
import threading

host, port, certificate, key, upstream_host, upstream_port = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
# What lies behind speaks HTTP/1.1 alone.
context.set_alpn_protocols(["http/1.1"])


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(connection):
    try:
        client = context.wrap_socket(connection, server_side=True)
        upstream = socket.create_connection((upstream_host, int(upstream_port)))
    except OSError:
        connection.close()
        return
    threading.Thread(target=pump, args=(client, upstream), daemon=True).start()
    pump(upstream, client)
    client.close()


listener = socket.create_server((host, int(port)))
print("ready", flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
