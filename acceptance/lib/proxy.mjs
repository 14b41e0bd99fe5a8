// A wire that can be cut at the worst moment: after the provider acted, before its answer arrives.
import net from 'node:net';
import { once } from 'node:events';

export class Wire {
  /** Forwards a free port to the origin of `target`. */
  static async to(target) {
    const wire = new Wire();
    const { hostname, port } = new URL(target);
    wire.server = net.createServer((client) => wire.#carry(client, net.connect(port, hostname)));
    wire.server.listen(0, '127.0.0.1');
    await once(wire.server, 'listening');
    wire.url = `http://127.0.0.1:${wire.server.address().port}`;
    return wire;
  }

  #armed = 0;
  #sockets = new Set();
  /** Answers that were swallowed. */
  swallowed = 0;

  /** The next `answers` to a POST never reach the one who asked. */
  swallow(answers = 1) {
    this.#armed += answers;
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  #carry(client, upstream) {
    let cut = false;
    client.on('data', (bytes) => {
      if (this.#armed > 0 && bytes.subarray(0, 5).equals(Buffer.from('POST '))) {
        this.#armed--;
        cut = true;
      }
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (!cut) return client.write(bytes);
      // The first byte of an answer means that the provider has committed.
      this.swallowed++;
      client.resetAndDestroy();
    });
    for (const [socket, other] of [[client, upstream], [upstream, client]]) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
