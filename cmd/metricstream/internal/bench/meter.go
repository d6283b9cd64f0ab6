package bench

import (
	"context"
	"time"
)

// meter measures what the target's processes and this one use during a run.
type meter struct {
	o     *WriteOptions
	pids  []int
	first Usage
	own   time.Duration
	peak  Usage
}

func newMeter(o *WriteOptions) (*meter, error) {
	m := &meter{o: o, pids: o.PIDs}
	if len(m.pids) == 0 {
		var err error
		if m.pids, err = listeners(o.URL); err != nil {
			return nil, err
		}
	}
	_, err := diskUse(o.Disks)
	return m, err
}

func (m *meter) start() error {
	m.own = ownCPU()
	if len(m.pids) == 0 {
		return nil
	}
	var err error
	m.first, err = treeUsage(m.pids)
	return err
}

// watch keeps the greatest memory that it sees, until done.
func (m *meter) watch(done <-chan struct{}) {
	if len(m.pids) == 0 {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if u, err := treeUsage(m.pids); err == nil {
			m.peak.RSSBytes = max(m.peak.RSSBytes, u.RSSBytes)
			m.peak.AnonBytes = max(m.peak.AnonBytes, u.AnonBytes)
		}
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}

func (m *meter) ownCPUSoFar() time.Duration { return ownCPU() - m.own }

// finish fills in the cost, at the end of the run and again after the settling time.
func (m *meter) finish(ctx context.Context, r *WriteReport, own time.Duration) error {
	r.Generator.CPUSeconds = own.Seconds()
	r.Generator.perMillion(r.AckedSamples)
	r.Target.PIDs = m.pids
	if err := m.read(r, &r.Target.AtEnd); err != nil {
		return err
	}
	if m.o.Settle > 0 && sleep(ctx, m.o.Settle) {
		r.Target.Settled = &Cost{}
		if err := m.read(r, r.Target.Settled); err != nil {
			return err
		}
	}
	r.Target.PeakRSSBytes, r.Target.PeakAnonBytes = m.peak.RSSBytes, m.peak.AnonBytes
	return nil
}

func (m *meter) read(r *WriteReport, c *Cost) error {
	if len(m.pids) > 0 {
		u, err := treeUsage(m.pids)
		if err != nil {
			return err
		}
		c.Usage = u
		c.CPUSeconds -= m.first.CPUSeconds
		if r.AckedSamples > 0 {
			c.CPUSecondsPerMillion = c.CPUSeconds / float64(r.AckedSamples) * 1e6
		}
	}
	if len(m.o.Disks) == 0 {
		return nil
	}
	use, err := diskUse(m.o.Disks)
	if err != nil {
		return err
	}
	c.Disk = &use
	if r.SamplesOnDisk > 0 {
		c.BytesPerSample = float64(use.Bytes) / float64(r.SamplesOnDisk)
	}
	return nil
}
