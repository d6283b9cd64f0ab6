package quota

import (
	"context"
	"slices"
)

// exchangeSeries tells the journal which series were seen here, and hears of the others'.
func (l *Ledger) exchangeSeries(ctx context.Context) error {
	if l.journal == nil {
		return nil
	}
	now := l.slice.Load()
	for slice := now - keptSlices; slice <= now; slice++ {
		met, err := l.journal.Exchange(ctx, slice, nil, l.hear(slice))
		if err != nil {
			return err
		}
		if met.Lost {
			l.sendAgain()
		}
	}
	records := make(map[int64][]byte)
	for id, a := range l.sets() {
		for slice, ids := range a.series.takeUnsent() {
			for part := range slices.Chunk(ids, maxRecordIDs) {
				records[slice] = appendRecord(records[slice], id, part)
			}
		}
	}
	for slice, r := range records {
		met, err := l.journal.Exchange(ctx, slice, r, l.hear(slice))
		if err != nil {
			l.sendAgain()
			return err
		}
		if met.Full {
			l.metrics.unwritten.Add(float64(len(r)))
		}
	}
	return nil
}

// sendAgain has all that is known sent with the next exchange.
func (l *Ledger) sendAgain() {
	for _, a := range l.sets() {
		a.series.sendAgain()
	}
}

// hear returns what takes over series that others have seen.
func (l *Ledger) hear(slice int64) func(tenant string, ids []uint64) {
	return func(tenant string, ids []uint64) {
		a := l.openAccount(tenant, l.now())
		if a == nil {
			return
		}
		for _, id := range ids {
			a.series.mark(id, slice, heard)
		}
	}
}
