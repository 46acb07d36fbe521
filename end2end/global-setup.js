// One server for all specs, with an organization, its people and the provider's; ended and checked at the end.
import { rmSync } from 'node:fs';
import { results, start } from './server.js';

export default async function globalSetup() {
  rmSync(results, { recursive: true, force: true });
  const server = await start('server');
  try {
    const people = {
      owner: server.person({ org: 'acme-corp', name: 'Olivia Owner' }),
      admin: server.person({ org: 'acme-corp', role: 'admin', name: 'Amir Admin' }),
      developer: server.person({ org: 'acme-corp', role: 'developer', name: 'Dee Developer' }),
      viewer: server.person({ org: 'acme-corp', role: 'viewer', name: 'Vic Viewer' }),
      stranger: server.person({ org: 'other-org', name: 'Sam Stranger' }),
      support: server.person({ staff: 'support', name: 'Sue Support' }),
    };
    const demo = JSON.parse(server.run(['seed-demo', '--keys', '120', '--json']));
    people.demo = { ...demo, org: 'Acme Demo', role: 'owner' };
    const { data, log, console, keys } = server;
    // Workers are processes of their own: this is how they get to know.
    process.env.END2END_SERVER = JSON.stringify({ data, log, console, keys });
    process.env.END2END_PEOPLE = JSON.stringify(people);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return () => server.stop();
}
