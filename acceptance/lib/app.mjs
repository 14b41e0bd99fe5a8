// An application that people sign in to.
import { once } from 'node:events';
import http from 'node:http';

/** An HTTP server around `handle`, which takes a Request and gives a Response. */
export async function app(handle) {
  const listener = http.createServer(async (req, res) => {
    const url = `http://${req.headers.host}${req.url}`;
    const body = req.method === 'GET' || req.method === 'HEAD' ? undefined : Buffer.concat(await req.toArray());
    const headers = new Headers(Object.entries(req.headers).map(([name, value]) => [name, `${value}`]));
    const answer = await handle(new Request(url, { method: req.method, headers, body }));
    for (const [name, value] of answer.headers) if (name !== 'set-cookie') res.setHeader(name, value);
    const cookies = answer.headers.getSetCookie();
    if (cookies.length) res.setHeader('set-cookie', cookies);
    res.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer()));
  });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  return { url: `http://127.0.0.1:${listener.address().port}`, stop: () => listener.close() };
}
