// The pages of a small headless shop, which has all it shows from the API. Put your own in their place.
//
//   node pages.js storefront    what there is to buy
//   node pages.js admin         how many customers there are
const http = require('http');

const page = process.argv[2] ?? 'storefront';
const log = (event, more = {}) =>
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), page, event, ...more })}\n`);
const escape = (text) => String(text).replace(/[&<>"]/g, (found) => `&#${found.charCodeAt(0)};`);

async function ask(query) {
  const answer = await fetch(process.env.API, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query }),
    signal: AbortSignal.timeout(10000),
  });
  const { data, errors } = await answer.json();
  if (errors) throw new Error(errors[0].message);
  return data;
}

const PAGES = {
  storefront: async () => {
    const { products } = await ask('{ products { name price } }');
    const items = products.map(({ name, price }) => `<li>${escape(name)}, ${(price / 100).toFixed(2)}</li>`);
    return `<h1>Shop</h1><ul>${items.join('')}</ul>`;
  },
  admin: async () => {
    const { customers, products } = await ask('{ customers products { name } }');
    return `<h1>Administration</h1><p>${products.length} products, ${customers} customers</p>`;
  },
};

const server = http.createServer(async (request, response) => {
  const [status, body] = await Promise.resolve(request.url === '/healthz' ? 'ok' : PAGES[page]())
    .then((text) => [200, text])
    .catch((error) => {
      log('failed', { error: error.message });
      return [503, '<h1>The shop does not answer</h1>'];
    });
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8' });
  response.end(`<!doctype html><html lang="en"><title>Shop</title>${body}</html>\n`);
});
server.listen(3000, () => log('listening', { port: 3000 }));
process.once('SIGTERM', () => {
  log('ending');
  server.close(() => {
    log('ended');
    process.exit(0);
  });
  server.closeIdleConnections();
});
