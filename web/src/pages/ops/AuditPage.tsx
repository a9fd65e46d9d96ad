// Every change of what is configured, chained by hashes, and the check of that chain.
import { api, type Schema } from '../../api/client';
import { useAction } from '../../api/query';
import { useState } from 'preact/hooks';
import { Button, Code, type Column, Count, counted, ErrorBox, Notice, whenColumn } from '../../ui';
import { Ledger } from './Ledger';
import { auditVerb, auditVerbs } from './verbs';

type Row = Schema<'AuditRow'>;
const columns: Column<Row>[] = [
  { key: 'what', label: 'What', cell: (one) => <>{auditVerb(one)} <code class="clip">{one.key}</code></> },
  { key: 'family', label: 'Family', cell: (one) => one.family, narrow: 'hide' },
  { key: 'actor', label: 'By', cell: (one) => <Code text={one.actor} label="actor" />, narrow: 'sub' },
  { key: 'source', label: 'Through', cell: (one) => one.source, narrow: 'hide' },
  whenColumn('side'),
];

export default function AuditPage() {
  const [chain, setChain] = useState<Schema<'AuditChain'> | null>(null);
  const check = useAction(async () => setChain(await api.get('/admin/audit/verify', { timeoutMs: 0 })));
  return (
    <Ledger<Row> title="Audit" state="Each change, with the hash of the one before" path="/admin/audit" member="audit"
      columns={columns} idOf={(one) => one.id} typed={{ name: 'q', label: 'Key, actor or request' }} max={100} linked={['key']}
      filters={[{
        name: 'action', label: 'action',
        choices: [{ value: '', label: 'any' }, ...Object.entries(auditVerbs).map(([value, label]) => ({ value, label }))],
      }]}
      empty="Nothing was changed in these days."
      action={<Button kind="primary" busy={check.busy} onClick={() => void check.run()}>Check the chain</Button>}>
      {check.error && <ErrorBox error={check.error} />}
      {chain && (
        <Notice tone={chain.ok ? 'good' : 'bad'}>
          {chain.ok ? 'Each row has the hash of the one before: ' : 'The chain is broken: '}
          {counted(chain.rows, 'row')} looked at, <Count n={chain.pruned} /> of before let go as the configuration says;
          the last hash is <Code text={chain.head} label="hash" />.
        </Notice>
      )}
    </Ledger>
  );
}
