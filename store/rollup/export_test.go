package rollup

import "context"

// Cycle folds everything that is to be folded now.
func (d *Downsampler) Cycle(ctx context.Context) error { return d.cycle(ctx) }
