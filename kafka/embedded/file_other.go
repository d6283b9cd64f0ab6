//go:build !linux

package embedded

func (f diskFile) sync() error { return f.Sync() }
