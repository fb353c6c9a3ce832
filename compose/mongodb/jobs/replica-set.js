// Makes the replica set rs0 of this one member, and for each line "name password" a database's user of that name. May run
// again at any time; never drops anything.
const fs = require('fs');
const secret = (name) => fs.readFileSync(`/run/secrets/${name}`, 'utf8').trim();
const ALREADY_INITIALIZED = 23;

const credentials = `root:${encodeURIComponent(secret('password'))}`;
const connection = new Mongo(`mongodb://${credentials}@mongodb:27017/admin?directConnection=true`);
const admin = connection.getDB('admin');

try {
  admin.runCommand({ replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host: 'mongodb:27017' }] } });
  print('replica set rs0 is made');
} catch (error) {
  if (error.code !== ALREADY_INITIALIZED) throw error;
}
for (let tries = 0; !admin.runCommand({ hello: 1 }).isWritablePrimary; tries += 1) {
  if (tries === 120) throw new Error('mongodb: no primary after a minute');
  sleep(500);
}

for (const line of secret('databases').split('\n').filter(Boolean)) {
  const [name, password] = line.trim().split(' ');
  const database = connection.getDB(name);
  const user = { pwd: password, roles: [{ role: 'dbOwner', db: name }] };
  if (database.getUser(name)) database.updateUser(name, user);
  else database.createUser({ user: name, ...user });
  print(`database ${name} has its user`);
}
