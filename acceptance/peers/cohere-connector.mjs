// A connector as a Cohere user deploys one: POST …/search {"query"} → {"results"}. It answers as the quick-start
// template does, which returns the same documents whatever it is asked and compares the whole Authorization header.
//
//   /search           the template: `Bearer sekret`
//   /basic/search     `Basic sekret`        /noscheme/search  `sekret`        /open/search  whatever, also nothing
//   /oauth/search     any bearer, as connectors that hand their caller's token on
//   /slow/search      never                 /broken/search    500             /odd/search   no results
//   /moved/search     a redirect to /open/search
//
// `GET /_seen` lists what was asked, and forgets it. Prints `ready URL` once it listens, on a port of the system's choice.
import http from 'node:http';
import { once } from 'node:events';

const DOCUMENTS = [
  { id: 'a1', title: 'Tall penguin', text: 'The tallest penguin is the emperor.', url: 'https://wiki.example/a1' },
  { id: 'a2', title: 'Tall bird', text: 'The tallest bird is the ostrich.', url: 'https://wiki.example/a2' },
];

const KEYS = {
  '': (authorization) => /^bearer sekret$/i.test(authorization),
  basic: (authorization) => authorization === 'Basic sekret',
  noscheme: (authorization) => authorization === 'sekret',
  open: () => true,
  oauth: (authorization) => /^Bearer \S+$/.test(authorization),
  slow: () => true,
  broken: () => true,
  odd: () => true,
  moved: () => true,
};

let seen = [];
const server = http.createServer(async (request, response) => {
  const answer = (status, body, headers = {}) => {
    const type = status < 400 ? 'application/json' : 'application/problem+json';
    response.writeHead(status, { 'content-type': type, ...headers }).end(JSON.stringify(body));
  };
  const problem = (status, detail) => answer(status, { type: 'about:blank', title: 'Problem', status, detail });
  if (request.url === '/_seen') {
    answer(200, seen);
    seen = [];
    return;
  }
  let body = '';
  for await (const piece of request) body += piece;
  const { authorization } = request.headers;
  seen.push({ method: request.method, path: request.url, authorization, type: request.headers['content-type'], body });
  const [, which = ''] = request.url.match(/^\/(?:(\w+)\/)?search$/) ?? [null, 'unknown'];
  if (!KEYS[which] || request.method !== 'POST') return problem(404, 'Not found');
  if (!KEYS[which](authorization ?? '')) {
    const why = authorization?.includes(' ') ? 'Invalid token' : 'Invalid authorization header';
    return problem(401, authorization ? why : 'No authorization token provided');
  }
  if (which === 'slow') return;
  if (which === 'broken') return problem(500, 'Broken');
  if (which === 'odd') return answer(200, { documents: DOCUMENTS });
  if (which === 'moved') return answer(302, {}, { location: '/open/search' });
  const { query } = JSON.parse(body);
  if (typeof query !== 'string' || !query) return problem(400, "'' is too short - 'query'");
  answer(200, { results: DOCUMENTS }, { 'x-connector-id': 'TEMPLATE' });
});
// Longer than a suite is silent, so that nobody writes to a connection that is just being closed.
server.keepAliveTimeout = 300_000;
server.listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(`ready http://127.0.0.1:${server.address().port}`);
