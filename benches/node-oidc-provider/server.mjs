// node-oidc-provider as its documentation sets it up with Redis: opaque access tokens for client_credentials, and
// introspection. Usage: node server.mjs PORT PROCESSES REDIS_URL

import cluster from "node:cluster";

const [port, processes, redisUrl] = process.argv.slice(2);

if (cluster.isPrimary && Number(processes) > 1) {
  for (let started = 0; started < Number(processes); started += 1) cluster.fork();
} else {
  process.env.NODE_ENV = "production";
  const { default: Redis } = await import("ioredis");
  const { Provider } = await import("oidc-provider");
  const redis = new Redis(redisUrl);

  // One key for each artifact, as JSON, with its lifetime.
  class Adapter {
    constructor(name) {
      this.name = name;
    }

    key(id) {
      return `${this.name}:${id}`;
    }

    async upsert(id, payload, expiresIn) {
      await redis.set(this.key(id), JSON.stringify(payload), "EX", expiresIn);
    }

    async find(id) {
      const found = await redis.get(this.key(id));
      return found === null ? undefined : JSON.parse(found);
    }

    async destroy(id) {
      await redis.del(this.key(id));
    }
  }

  const provider = new Provider(`http://127.0.0.1:${port}`, {
    adapter: Adapter,
    clients: [
      {
        client_id: "caller",
        client_secret: "secret",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        scope: "notes:read notes:write",
      },
    ],
    scopes: ["notes:read", "notes:write"],
    ttl: { ClientCredentials: 21600 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: () => true },
    },
    routes: { introspection: "/introspect", token: "/token" },
  });
  provider.listen(Number(port), "127.0.0.1");
}
