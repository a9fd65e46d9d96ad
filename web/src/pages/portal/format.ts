// Sums as Stripe writes them: in the smallest unit of their currency.

// Where Stripe counts otherwise than ISO 4217: https://docs.stripe.com/currencies.
const stripeDigits: Record<string, number> = { ISK: 2, UGX: 2, MGA: 0 };

// Shown with the currency's own number of decimals: 1500 "usd" is $15.00, 1500 "jpy" is ¥1,500.
export function formatMinor(amount: number, currency: string): string {
  const code = currency.toUpperCase();
  try {
    const format = new Intl.NumberFormat('en-US', { style: 'currency', currency: code });
    const digits = stripeDigits[code] ?? format.resolvedOptions().maximumFractionDigits ?? 2;
    return format.format(amount / 10 ** digits);
  } catch {
    return `${amount} ${currency}`;
  }
}
