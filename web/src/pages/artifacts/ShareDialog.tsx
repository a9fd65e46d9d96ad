// Makes a link by which somebody without an account gets one artifact. The link is shown once.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { invalidate } from '../../api/query';
import { Commands, Copy, counted, Dialog, Field, Form, Select, Time } from '../../ui';
import { inWords } from './refusal';

const spans = [
  { value: '1', label: 'one hour' },
  { value: '24', label: 'one day' },
  { value: '168', label: 'one week' },
  { value: '720', label: '30 days' },
  { value: 'other', label: 'so many hours …' },
];

export function ShareDialog({
  id,
  name,
  onClose,
}: {
  id: string;
  name: string;
  onClose: () => void;
}) {
  const [made, setMade] = useState<Schema<'ShareCreated'> | null>(null);
  const [span, setSpan] = useState('168');
  const create = async ({
    hours = '',
    downloads_max = '',
    password = '',
  }: Record<string, string>) => {
    const body = {
      expires_in_s: Math.round(Number(span === 'other' ? hours : span) * 3600),
      ...(downloads_max !== '' && { downloads_max: Number(downloads_max) }),
      ...(password !== '' && { password }),
    };
    setMade(await inWords(api.post('/api/v1/artifacts/{id}/shares', { path: { id }, body })));
    invalidate(`/api/v1/artifacts/${id}/shares`);
  };
  return (
    <Dialog title={`Share ${name}`} onClose={onClose}>
      {made ? (
        <Made made={made} />
      ) : (
        <Form submit="Make the link" onSubmit={create} onCancel={onClose}>
          <p>Whoever has the link can download this artifact, without an account.</p>
          <Fields span={span} onSpan={setSpan} />
        </Form>
      )}
    </Dialog>
  );
}

function Fields({ span, onSpan }: { span: string; onSpan: (span: string) => void }) {
  return (
    <>
      <Select
        name="expires_in_s"
        label="Works for"
        choices={spans}
        value={span}
        onChange={onSpan}
      />
      {span === 'other' && (
        <Field
          name="hours"
          label="Hours"
          type="number"
          min="0.02"
          max="8784"
          step="any"
          required
          defaultValue="48"
        />
      )}
      <Field
        name="downloads_max"
        label="Downloads at most"
        type="number"
        min="1"
        max="1000000000"
        step="1"
        inputMode="numeric"
        hint="Left empty, as many as there are."
      />
      <Field
        name="password"
        label="Password"
        masked
        maxLength={1000}
        hint="Left empty, the link alone is enough."
      />
    </>
  );
}

function Made({ made }: { made: Schema<'ShareCreated'> }) {
  return (
    <div class="share-made">
      <p tabIndex={-1}>The link is made. Copy it now; it is not shown again.</p>
      <div class="secret-row">
        <code class="share-link" tabIndex={0}>
          {made.url}
        </code>
        <Copy text={made.url} label="the link">
          Copy the link
        </Copy>
      </div>
      <p class="muted">
        It works until <Time at={made.expires_at} />
        {made.downloads_max !== null && (
          <>
            , for {counted(made.downloads_max, 'download')}
          </>
        )}
        {made.has_password && ', with the password. Send the password another way'}.
      </p>
      {!made.has_password && (
        <Commands
          label="Fetch it"
          ways={{
            curl: `curl -LO -J '${made.url}'`,
            Python: `import urllib.request\nurllib.request.urlretrieve("${made.url}", "artifact.kv")`,
          }}
        />
      )}
    </div>
  );
}
