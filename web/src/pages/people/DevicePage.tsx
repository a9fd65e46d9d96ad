// Where a person lets a command line in that runs on a machine without a browser: shows which device
// asks, and says yes or no to it. Whoever is not signed in yet signs in first.
import { useEffect, useState } from 'preact/hooks';
import { ApiError, type Fetch, getObject, postJson } from '../../api/client';
import { SignInPage } from './SignInPage';

// "#/device?user_code=WDJB-MJHT" → the code, "" where the person is to type it, null elsewhere.
export function codeOf(hash: string): string | null {
  const match = /^#\/device(?:\?user_code=([\w-]{1,32}))?$/.exec(hash);
  return match ? (match[1] ?? '') : null;
}

// Another way to sign in than by a password.
export interface Way { name: string; url: string }
export interface Device { name: string; client: string; address: string }
export type DeviceState =
  | { step: 'type' | 'look' | 'allowed' | 'refused' }
  | { step: 'sign-in'; ways: Way[] }
  | { step: 'ask'; device: Device; csrf: string }
  | { step: 'failed'; failure: string };

async function readWays(fetcher: Fetch): Promise<Way[]> {
  const answer = await getObject(fetcher, '/auth/providers').catch(() => ({ providers: [] }));
  const list: unknown = answer['providers'];
  if (!Array.isArray(list)) return [];
  return list.map((one: Record<string, unknown>) => ({ name: String(one['name']), url: String(one['url']) }));
}

// Where a provider leads back to is a path of this host.
export function wayBack(way: Way, code: string): string {
  return `${way.url}?next=${encodeURIComponent(`/#/device?user_code=${code}`)}`;
}

// What is to be shown for a code.
export async function readDevice(fetcher: Fetch, code: string): Promise<DeviceState> {
  try {
    const me = await getObject(fetcher, '/api/v1/me');
    const device = await getObject(fetcher, `/auth/device/${encodeURIComponent(code)}`);
    return {
      step: 'ask',
      csrf: String(me['csrf_token'] ?? ''),
      device: {
        name: String(device['device_name']),
        client: String(device['client_id']),
        address: String(device['address']),
      },
    };
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      return { step: 'sign-in', ways: await readWays(fetcher) };
    }
    return { step: 'failed', failure: error instanceof Error ? error.message : String(error) };
  }
}

export function DeviceView(
  { state, onCode, onDecide }: {
    state: DeviceState; onCode?: (code: string) => void; onDecide?: (allow: boolean) => void;
  },
) {
  return (
    <main>
      <section aria-labelledby="device">
        <h2 id="device">A device asks to sign in as you</h2>
        {state.step === 'look' && <p>One moment …</p>}
        {state.step === 'type' && (
          <form class="sign-in" onSubmit={(event) => {
            event.preventDefault();
            const form = new FormData(event.currentTarget as HTMLFormElement);
            onCode?.(String(form.get('user_code') ?? ''));
          }}>
            <label>The code that the device shows
              <input name="user_code" required maxLength={32} autocomplete="off" />
            </label>
            <button type="submit">Go on</button>
          </form>
        )}
        {state.step === 'ask' && (
          <>
            <p><b>{state.device.name}</b> ({state.device.client}), at {state.device.address}.</p>
            <p>Allow it only if you have just begun this there yourself. It may then do all that you
              may, until you sign it out.</p>
            <p>
              <button type="button" onClick={() => onDecide?.(true)}>Allow</button>{' '}
              <button type="button" onClick={() => onDecide?.(false)}>Refuse</button>
            </p>
          </>
        )}
        {state.step === 'allowed' && <p>The device is signed in. You can close this page.</p>}
        {state.step === 'refused' && <p>The device was refused.</p>}
        {state.step === 'failed' && <p class="failure" role="alert">{state.failure}</p>}
      </section>
    </main>
  );
}

export function SignInWays({ ways, code }: { ways: Way[]; code: string }) {
  if (ways.length === 0) return null;
  return (
    <section>
      <p>Or sign in through{' '}
        {ways.map((way, at) => (
          <>{at > 0 && ', '}<a href={wayBack(way, code)}>{way.name}</a></>
        ))}.
      </p>
    </section>
  );
}

export function DevicePage({ code }: { code: string }) {
  const [state, setState] = useState<DeviceState>({ step: code === '' ? 'type' : 'look' });
  const look = async () => setState(await readDevice((path, init) => fetch(path, init), code));
  useEffect(() => {
    if (code !== '') void look();
  }, [code]);
  const decide = async (allow: boolean) => {
    if (state.step !== 'ask') return;
    try {
      const path = `/auth/device/${encodeURIComponent(code)}`;
      await postJson((to, init) => fetch(to, init), path, { allow }, state.csrf);
      setState({ step: allow ? 'allowed' : 'refused' });
    } catch (error) {
      setState({ step: 'failed', failure: error instanceof Error ? error.message : String(error) });
    }
  };
  if (state.step === 'sign-in') {
    return (
      <>
        <SignInPage way="login" token="" onDone={() => void look()} />
        <SignInWays ways={state.ways} code={code} />
      </>
    );
  }
  return (
    <DeviceView state={state} onDecide={(allow) => void decide(allow)}
      onCode={(typed) => { location.hash = `#/device?user_code=${encodeURIComponent(typed)}`; }} />
  );
}
