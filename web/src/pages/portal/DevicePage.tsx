// Where a person lets a command line in that runs on a machine without a browser: shows which device
// asks, and says yes or no to it. Whoever is not signed in yet signs in first.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import { useAction, useQuery } from '../../api/query';
import { loadMe, useMe } from '../../api/session';
import type { PageProps } from '../../areas';
import { href, navigate, useTitle } from '../../router';
import { Button, ErrorBox, Field, Form, Skeleton } from '../../ui';
import { SignIn } from './SignIn';

const codeForm = /^[\w-]{1,32}$/;

function Ask({ code }: { code: string }) {
  const [answer, setAnswer] = useState<'allowed' | 'refused' | null>(null);
  const { data, error } = useQuery(`/auth/device/${code}`, (signal) =>
    api.get('/auth/device/{user_code}', { path: { user_code: code }, signal }),
  );
  const decide = useAction(async (allow: boolean) => {
    await api.post('/auth/device/{user_code}', { path: { user_code: code }, body: { allow } });
    setAnswer(allow ? 'allowed' : 'refused');
  });
  if (answer === 'allowed') return <p>The device is signed in. You can close this page.</p>;
  if (answer === 'refused') return <p>The device was refused.</p>;
  if (error) return <ErrorBox error={error} />;
  if (!data) return <Skeleton />;
  return (
    <>
      <p class="device-code">
        <span class="muted">It must show this code:</span> <code>{data.user_code}</code>
      </p>
      <p>
        <b dir="auto">{data.device_name}</b> ({data.client_id}), at {data.address}.
      </p>
      <p>
        Allow it only if you have just begun this there yourself, and it shows the same code. It may then do all that you may,
        until you sign it out.
      </p>
      {decide.error && <ErrorBox error={decide.error} />}
      <div class="form-actions">
        <Button kind="primary" busy={decide.busy} onClick={() => void decide.run(true)}>
          Allow
        </Button>
        <Button busy={decide.busy} onClick={() => void decide.run(false)}>
          Refuse
        </Button>
      </div>
    </>
  );
}

export default function DevicePage({ query }: PageProps) {
  const me = useMe();
  const given = query.get('user_code') ?? '';
  const code = codeForm.test(given) ? given : '';
  useTitle('A device asks');
  return (
    <>
      <h1>A device asks to sign in as you</h1>
      {code === '' ? (
        <Form
          submit="Go on"
          onSubmit={async ({ user_code = '' }) =>
            navigate(href('/device', { user_code: user_code.trim() }))
          }
        >
          <Field
            name="user_code"
            label="The code that the device shows"
            required
            maxLength={32}
            autocomplete="off"
            pattern="[\w\-]+"
            spellcheck={false}
          />
        </Form>
      ) : me ? (
        <Ask key={code} code={code} />
      ) : (
        <SignIn next={href('/device', { user_code: code })} onDone={() => void loadMe()} />
      )}
    </>
  );
}
