// What every service of the platform has: a log, its secrets, the event store, the broker and the cache.
const fs = require('fs');
const os = require('os');

const { createClient } = require('@redis/client');
const amqp = require('amqplib');
const { Pool } = require('pg');

const service = process.argv[2] ?? 'gateway';
const instance = os.hostname();

/** One line of JSON on standard output. */
function log(event, more = {}) {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), service, instance, event, ...more })}\n`);
}

function secret(name) {
  return fs.readFileSync(`/run/secrets/${name}`, 'utf8').trim();
}

function openStore() {
  return new Pool({ connectionString: secret('database_url'), max: 2, connectionTimeoutMillis: 10000 });
}

/** Store, cache and broker. A broker that goes away ends the process, and Docker starts it again. */
async function open(ending) {
  const store = openStore();
  const cache = createClient({ url: secret('redis_url') });
  cache.on('error', (error) => log('cache', { error: error.message }));
  await cache.connect();
  const broker = await amqp.connect(secret('amqp_url'), { clientProperties: { connection_name: `${service} ${instance}` } });
  broker.on('error', (error) => log('broker', { error: error.message }));
  broker.on('close', () => ending() || process.exit(1));
  const channel = await broker.createConfirmChannel();
  for (const queue of ['orders', 'payments', 'notifications']) await channel.assertQueue(queue, { durable: true });

  /** What happened to an order, once: a message that comes a second time changes nothing. */
  async function happened(order, kind, data = {}) {
    await store.query(
      'INSERT INTO events (stream, kind, service, instance, data) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING',
      [order, kind, service, instance, data],
    );
    await cache.set(`order:${order}`, kind, { EX: 86400 });
  }
  /** Until the broker has it. */
  async function send(queue, message) {
    channel.sendToQueue(queue, Buffer.from(JSON.stringify(message)), { persistent: true });
    await channel.waitForConfirms();
  }
  /** Which of what it needs answers. */
  async function needs() {
    const asked = { database: store.query('SELECT 1'), amqp: channel.checkQueue('orders'), redis: cache.ping() };
    const answers = await Promise.allSettled(Object.values(asked));
    return Object.fromEntries(Object.keys(asked).map((name, at) => [name, answers[at].status === 'fulfilled']));
  }
  async function close() {
    await channel.close();
    await broker.close();
    await cache.close();
    await store.end();
  }
  return { store, cache, channel, happened, send, needs, close };
}

module.exports = { service, instance, log, secret, open, openStore };
