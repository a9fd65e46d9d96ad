import type { PageProps } from '../../areas';
import { BeginIfGood } from './BeginPage';

export default function ResetPage({ query }: PageProps) {
  return <BeginIfGood way="reset" token={query.get('token') ?? ''} />;
}
