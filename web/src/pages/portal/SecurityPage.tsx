// The own password, and a second factor for sign-ins by it.
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { loadMe, useMe } from '../../api/session';
import {
  AccountName,
  Button,
  codeOf,
  Copy,
  Dialog,
  downloadText,
  Field,
  Form,
  Page,
  Section,
  State,
  toast,
} from '../../ui';
import { AccountTabs } from './AccountTabs';
import { ItIsYou } from './ItIsYou';

// The secret in groups of four, as authenticator apps show it.
const grouped = (secret: string): string => secret.replace(/(.{4})(?=.)/g, '$1 ');

function RecoveryCodes({ codes, onClose }: { codes: string[]; onClose: () => void }) {
  return (
    <Dialog title="Recovery codes" onClose={onClose}>
      <p>
        Each is good once, in place of a code of the app. Keep them now; they are not shown again.
      </p>
      <pre class="block" tabIndex={0}>
        <code>{codes.join('\n')}</code>
      </pre>
      <div class="form-actions">
        <Copy text={codes.join('\n')} label="the recovery codes">
          Copy all
        </Copy>
        <Button
          onClick={() =>
            downloadText('kvcs-recovery-codes.txt', codes.join('\n') + '\n', 'text/plain')
          }
        >
          Download
        </Button>
      </div>
    </Dialog>
  );
}

// The code that an authenticator app scans; it is drawn by a part of the pages that few ever need.
function Scan({ url }: { url: string }) {
  const [Drawn, setDrawn] = useState<ComponentType<{ text: string; label: string }> | null>(null);
  useEffect(() => {
    let alive = true;
    // Without it there is the secret to type.
    void import('../../ui/QrCode').then(
      (found) => alive && setDrawn(() => found.default),
      () => undefined,
    );
    return () => {
      alive = false;
    };
  }, []);
  return <div class="qr-room">{Drawn && <Drawn text={url} label="QR code of the secret" />}</div>;
}

function TurnOn({
  start,
  onCodes,
  onClose,
}: {
  start: Schema<'TotpStart'>;
  onCodes: (codes: string[]) => void;
  onClose: () => void;
}) {
  return (
    <Dialog title="Turn on a second factor" onClose={onClose}>
      <p>
        Scan this with an authenticator app, or{' '}
        <a href={start.otpauth_url}>open it in one on this device</a>, or type the secret into it.
        Then type the code that it shows.
      </p>
      <Scan url={start.otpauth_url} />
      <div class="secret-row">
        <code>{grouped(start.secret)}</code>
        <Copy text={start.secret} label="the secret" />
      </div>
      <Form
        submit="Turn on"
        onCancel={onClose}
        onSubmit={async ({ code = '' }) => {
          const { recovery_codes } = await api.post('/auth/totp/confirm', {
            body: { code: codeOf(code) },
          });
          onCodes(recovery_codes);
          await loadMe();
        }}
      >
        <Field
          name="code"
          label="Code"
          required
          maxLength={40}
          inputMode="numeric"
          autocomplete="one-time-code"
        />
      </Form>
    </Dialog>
  );
}

function SecondFactor({ isOn, email }: { isOn: boolean; email: string | undefined }) {
  const [start, setStart] = useState<Schema<'TotpStart'> | null>(null);
  const [codes, setCodes] = useState<string[] | null>(null);
  const [ending, setEnding] = useState(false);
  const [asking, setAsking] = useState(false);
  return (
    <Section
      title="Second factor"
      note="Sign-ins by password then also ask for a code of an authenticator app."
    >
      <p>
        <State state={isOn ? 'on' : 'off'} tone={isOn ? 'good' : 'none'} />
      </p>
      <div>
        {isOn ? (
          <Button onClick={() => setEnding(true)}>Turn off …</Button>
        ) : (
          <Button kind="primary" onClick={() => setAsking(true)}>
            Turn on …
          </Button>
        )}
      </div>
      {asking && (
        <ItIsYou
          onClose={() => setAsking(false)}
          act={async (body) => {
            setStart(await api.post('/auth/totp', { body }));
            setAsking(false);
          }}
        />
      )}
      {start && (
        <TurnOn
          start={start}
          onClose={() => setStart(null)}
          onCodes={(all) => {
            setStart(null);
            setCodes(all);
          }}
        />
      )}
      {codes && <RecoveryCodes codes={codes} onClose={() => setCodes(null)} />}
      {ending && (
        <Dialog title="Turn off the second factor" onClose={() => setEnding(false)}>
          <Form
            submit="Turn off"
            kind="danger"
            onCancel={() => setEnding(false)}
            onSubmit={async ({ current_password = '', code = '' }) => {
              await api.delete('/auth/totp', {
                body: {
                  ...(current_password === '' ? {} : { current_password }),
                  code: codeOf(code),
                },
              });
              setEnding(false);
              await loadMe();
              toast('The second factor is off.');
            }}
          >
            <AccountName address={email} />
            <Field
              name="current_password"
              label="Your password"
              type="password"
              autocomplete="current-password"
              hint="Left empty if you have none: then a sign-in of the last five minutes counts."
            />
            <Field
              name="code"
              label="A code of the app, or a recovery code"
              required
              maxLength={40}
              autocomplete="one-time-code"
            />
          </Form>
        </Dialog>
      )}
    </Section>
  );
}

export default function SecurityPage() {
  const me = useMe();
  const [count, setCount] = useState(0);
  if (!me) return null;
  return (
    <Page title="Password and second factor">
      <AccountTabs />
      <Section title="Password" note="All your other sessions end when it changes.">
        <Form
          key={count}
          submit="Change password"
          onSubmit={async ({ current_password = '', new_password = '' }) => {
            await api.post('/auth/password', { body: { current_password, new_password } });
            await loadMe();
            setCount(count + 1);
            toast('Password changed. You are signed out everywhere else.');
          }}
        >
          <AccountName address={me.email} />
          <Field
            name="current_password"
            label="Password now"
            type="password"
            autocomplete="current-password"
            required
          />
          <Field
            name="new_password"
            label="New password"
            type="password"
            autocomplete="new-password"
            required
            minLength={8}
            hint="At least 8 characters."
          />
        </Form>
      </Section>
      <SecondFactor isOn={me.second_factor === true} email={me.email} />
    </Page>
  );
}
