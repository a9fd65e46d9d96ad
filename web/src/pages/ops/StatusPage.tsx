// The one page there is: does it run, and how does a first file get in.
import { useEffect, useState } from 'preact/hooks';
import { readSnapshot } from '../../api/client';
import type { Snapshot } from '../../api/types';
import { Command } from '../../ui/Command';
import { formatDuration, toneOf } from '../../ui/format';

const refreshMs = 5000;

export interface StatusState {
  snapshot: Snapshot | null;
  failure: string | null;
  origin: string;
}

const headlines: Record<string, [string, string]> = {
  healthy: ['Running', 'Every part answers.'],
  degraded: ['Running, with a problem', 'Requests are answered; a part below needs a look.'],
  unhealthy: ['Not working', 'A part that requests need is down.'],
};

// The names of /health are a contract with monitors; people get words.
const serviceNames: Record<string, string> = { kv: 'Hot store (kv)', d1: 'Database (d1)' };

function Headline({ snapshot, failure }: StatusState) {
  if (failure) {
    return (
      <div class="headline bad" role="status">
        <h2>Not reachable</h2>
        <p>{failure}. Is <code>kvcs serve</code> running? This page asks again by itself.</p>
      </div>
    );
  }
  if (!snapshot) {
    return (
      <div class="headline none" role="status">
        <h2>Asking …</h2>
        <p>Waiting for the first answer.</p>
      </div>
    );
  }
  const { status } = snapshot.health;
  const [title, text] = headlines[status] ?? [status, 'The daemon says so about itself.'];
  return (
    <div class={`headline ${toneOf(status)}`} role="status">
      <h2>{title}</h2>
      <p>{text}</p>
    </div>
  );
}

function Facts({ snapshot }: { snapshot: Snapshot }) {
  const { health, status } = snapshot;
  const version = status?.version ?? health.version;
  const uptime = status?.uptime_s ?? health.uptime_s;
  return (
    <dl class="facts">
      {version && <div><dt>Version</dt><dd>{version}</dd></div>}
      {status?.commit && <div><dt>Commit</dt><dd>{status.commit}</dd></div>}
      {uptime !== undefined && <div><dt>Up for</dt><dd>{formatDuration(uptime)}</dd></div>}
      {health.mode && <div><dt>Mode</dt><dd>{health.mode}</dd></div>}
      {Object.entries(health.services).map(([name, state]) => (
        <div key={name}>
          <dt>{serviceNames[name] ?? name}</dt>
          <dd><span class={`dot ${toneOf(state)}`} aria-hidden="true" />{state}</dd>
        </div>
      ))}
    </dl>
  );
}

function FirstFile({ origin }: { origin: string }) {
  return (
    <section aria-labelledby="first-file">
      <h2 id="first-file">Store a first file</h2>
      <ol class="steps">
        <li>
          <p>Say where this appliance is, and who you are. The first start wrote a project key
            (<code>api_key</code>) to <code>initial-credentials.json</code> in the data
            directory.</p>
          <Command label="address and key"
            lines={[`export KVCS_API_URL=${origin}`, 'export KVCS_API_KEY=kv_…']} />
        </li>
        <li>
          <p>Upload a <code>.kv</code> file. It is hashed on the way, and appears only when every
            byte has arrived.</p>
          <Command label="upload" lines={['kvcs upload context.kv --name demo']} />
        </li>
        <li>
          <p>See it, and bring it back. A download is checked against its SHA-256.</p>
          <Command label="list and download" lines={['kvcs list', 'kvcs download ARTIFACT_ID']} />
        </li>
        <li>
          <p>Without the command line, the same over HTTP:</p>
          <Command label="list with curl"
            lines={['curl -H "Authorization: Bearer $KVCS_API_KEY" \\',
              `  ${origin}/api/v1/artifacts`]} />
        </li>
      </ol>
    </section>
  );
}

export function StatusView(state: StatusState) {
  return (
    <>
      <header>
        <img src="/favicon.svg" alt="" width="36" height="36" />
        <div>
          <h1>kvcs</h1>
          <p>Key-value caches, credentials and model budgets on one box</p>
        </div>
      </header>
      <main>
        <Headline {...state} />
        {state.snapshot && !state.failure && <Facts snapshot={state.snapshot} />}
        <FirstFile origin={state.origin} />
      </main>
      <footer>
        <p>For machines: <a href="/health">/health</a>, <a href="/livez">/livez</a>,{' '}
          <a href="/readyz">/readyz</a>. <code>kvcs --help</code> lists the commands.</p>
      </footer>
    </>
  );
}

export function StatusPage() {
  const [snapshot, setSnapshot] = useState<Snapshot | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  useEffect(() => {
    let alive = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    // The next question waits for the answer, and a hidden page does not ask.
    const ask = async () => {
      if (!document.hidden) {
        try {
          const next = await readSnapshot((path, init) => fetch(path, init));
          if (!alive) return;
          setSnapshot(next);
          setFailure(null);
        } catch (error) {
          if (!alive) return;
          setFailure(error instanceof Error ? error.message : String(error));
        }
      }
      timer = setTimeout(ask, refreshMs);
    };
    void ask();
    return () => {
      alive = false;
      clearTimeout(timer);
    };
  }, []);
  return <StatusView snapshot={snapshot} failure={failure} origin={location.origin} />;
}
