# A gateway of the cloud kind, for `make bench`: the worker, its key-value store (in memory, in this
# process, so that it pays for no network) and the provider. Addresses are given on the command line.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    ( name = "gateway", worker = .gateway ),
    ( name = "store", worker = .store ),
    ( name = "provider", external = ( address = "127.0.0.1:1", http = () ) ),
  ],
  sockets = [ ( name = "http", address = "127.0.0.1:1", http = (), service = "gateway" ) ],
);

const gateway :Workerd.Worker = (
  modules = [ ( name = "worker.mjs", esModule = embed "worker.mjs" ) ],
  compatibilityDate = "2026-01-01",
  bindings = [
    ( name = "KV", kvNamespace = "store" ),
    ( name = "PROVIDER", service = "provider" ),
  ],
);

const store :Workerd.Worker = (
  modules = [ ( name = "worker_store.mjs", esModule = embed "worker_store.mjs" ) ],
  compatibilityDate = "2026-01-01",
);
