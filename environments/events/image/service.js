// The services of a small event platform; put your own in their place.
//
//   node service.js gateway                 takes orders: POST /orders {"item": "…"}, GET /orders/ID, GET /events
//   node service.js order-service           consumes the queue orders, and sends to payments
//   node service.js payment-service         consumes the queue payments, and sends to notifications
//   node service.js notification-service    consumes the queue notifications
//   node service.js migrate                 brings the event store to this version; may run before every deploy
const http = require('http');
const { randomUUID } = require('crypto');

const { service, instance, log, secret, open, openStore } = require('./parts');

// What each consumer records, and where the order goes next.
const STEPS = {
  'order-service': { kind: 'accepted', next: 'payments' },
  'payment-service': { kind: 'paid', next: 'notifications' },
  'notification-service': { kind: 'notified' },
};

async function migrate() {
  const store = openStore();
  await store.query(`CREATE TABLE IF NOT EXISTS events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream uuid NOT NULL, kind text NOT NULL, service text NOT NULL,
    instance text NOT NULL, data jsonb NOT NULL, happened timestamptz NOT NULL DEFAULT now(), UNIQUE (stream, kind))`);
  await store.end();
  log('migrated');
}

async function consume(parts) {
  const { kind, next } = STEPS[service];
  if (service === 'payment-service' && !secret('payment_key')) throw new Error('there is no payment key');
  await parts.channel.prefetch(Number(process.env.PREFETCH ?? 1));
  let busy = 0;
  const work = async (message) => {
    if (!message) return;
    busy += 1;
    try {
      const { order } = JSON.parse(message.content.toString());
      await parts.happened(order, kind);
      if (next) await parts.send(next, { order });
      parts.channel.ack(message);
      log(kind, { order });
    } catch (error) {
      log('failed', { error: error.message });
      // Once more, and after that it is dropped: it would come back for ever.
      parts.channel.nack(message, false, !message.fields.redelivered);
    }
    busy -= 1;
  };
  const { consumerTag } = await parts.channel.consume(process.env.QUEUE, work);
  log('consuming', { queue: process.env.QUEUE });
  /** No new message; those that are here are ended. */
  return async () => {
    await parts.channel.cancel(consumerTag);
    while (busy > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  };
}

async function answer(parts, request) {
  const { pathname } = new URL(request.url, 'http://here');
  if (pathname === '/healthz' || pathname === '/') {
    const needs = await parts.needs();
    return [Object.values(needs).every(Boolean) ? 200 : 503, { service, instance, needs }];
  }
  if (service !== 'gateway') return [404, { error: 'not found' }];
  if (pathname === '/orders' && request.method === 'POST') {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const order = randomUUID();
    await parts.happened(order, 'ordered', JSON.parse(Buffer.concat(chunks).toString() || '{}'));
    await parts.send('orders', { order });
    return [202, { order }];
  }
  if (pathname === '/events') {
    const { rows } = await parts.store.query(
      'SELECT kind, service, instance, count(*)::integer FROM events GROUP BY 1, 2, 3 ORDER BY 1, 2, 3',
    );
    return [200, rows];
  }
  const [, order] = /^\/orders\/([0-9a-f-]{36})$/.exec(pathname) ?? [];
  const last = order && (await parts.cache.get(`order:${order}`));
  return last ? [200, { order, last }] : [404, { error: 'not found' }];
}

async function serve() {
  let ending = false;
  const early = () => process.exit(0);
  process.once('SIGTERM', early);
  const parts = await open(() => ending);
  const stop = STEPS[service] ? await consume(parts) : async () => {};
  const server = http.createServer(async (request, response) => {
    const [status, body] = await answer(parts, request).catch((error) => {
      log('failed', { error: error.message });
      return [error instanceof SyntaxError ? 422 : 500, { error: 'failed' }];
    });
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
  });
  server.listen(3000, () => log('listening', { port: 3000 }));
  process.off('SIGTERM', early);
  process.once('SIGTERM', async () => {
    ending = true;
    log('ending');
    await stop();
    server.close();
    server.closeIdleConnections();
    await parts.close();
    log('ended');
    process.exit(0);
  });
}

(service === 'migrate' ? migrate() : serve()).catch((error) => {
  log('failed', { error: error.message });
  process.exit(1);
});
