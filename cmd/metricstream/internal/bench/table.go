package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// compared is what a folder of deployments/bench/compare.sh holds of one target. Any of it may be missing.
type compared struct {
	name        string
	flat, paced *WriteReport
	query       *QueryReport
	stored      float64 // bytes per sample without logs, 0 when not known
}

// RunTable prints one Markdown table over the folders, a column for each. A folder is named after its target and
// holds flat.json and paced.json of "bench write", query.json of "bench query", and stored.json, the number of bytes
// that all samples take once they are out of the target's logs.
func RunTable(folders []string, out io.Writer) error {
	var all []compared
	for _, folder := range folders {
		c, err := readCompared(folder)
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	head := []string{""}
	for _, c := range all {
		head = append(head, c.name)
	}
	printRow(out, head)
	fmt.Fprintln(out, "|---"+strings.Repeat("|---:", len(all))+"|")
	flat := func(c compared) *WriteReport { return c.flat }
	paced := func(c compared) *WriteReport { return c.paced }
	writeRows(out, all, "flat out", flat)
	writeRows(out, all, "fixed rate", paced)
	storedRow(out, all)
	queryRows(out, all)
	partNotes(out, all)
	return nil
}

func readCompared(folder string) (compared, error) {
	c := compared{name: filepath.Base(folder)}
	var storedBytes float64
	for file, into := range map[string]any{"flat.json": &c.flat, "paced.json": &c.paced, "query.json": &c.query, "stored.json": &storedBytes} {
		text, err := os.ReadFile(filepath.Join(folder, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return c, fmt.Errorf("cannot read results of %s: %w", c.name, err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			return c, fmt.Errorf("cannot read results of %s from %s: %w", c.name, file, err)
		}
	}
	if c.paced != nil && c.paced.SamplesOnDisk > 0 {
		c.stored = storedBytes / float64(c.paced.SamplesOnDisk)
	}
	return c, nil
}

func printRow(out io.Writer, cells []string) {
	fmt.Fprintln(out, "| "+strings.Join(cells, " | ")+" |")
}

// writeRows prints the rows of one of the two writes.
func writeRows(out io.Writer, all []compared, title string, pick func(compared) *WriteReport) {
	rows := []struct {
		name string
		cell func(*WriteReport) string
	}{
		{"samples/s acknowledged", func(r *WriteReport) string { return fmt.Sprintf("%.0f", r.SamplesPerSecond) }},
		{"ack p50 / p99, ms", func(r *WriteReport) string { return fmt.Sprintf("%.1f / %.1f", r.Ack.P50, r.Ack.P99) }},
		{"ack to visible p50 / p99, ms", visibleCell},
		{"samples refused or not acked", func(r *WriteReport) string { return fmt.Sprint(r.RefusedSamples + r.UnackedSamples) }},
		{"target CPU s per million samples", func(r *WriteReport) string { return measured(r.last().CPUSecondsPerMillion) }},
		{"generator CPU s per million samples", func(r *WriteReport) string { return fmt.Sprintf("%.2f", r.Generator.CPUSecondsPerMillion) }},
		{"peak RSS / anonymous, MB", func(r *WriteReport) string {
			return fmt.Sprintf("%.0f / %.0f", mb(r.Target.PeakRSSBytes), mb(r.Target.PeakAnonBytes))
		}},
		{"bytes per sample on disk, all files", func(r *WriteReport) string { return measured(r.last().BytesPerSample) }},
	}
	for _, row := range rows {
		cells := []string{title + ": " + row.name}
		any := false
		for _, c := range all {
			cell := "-"
			if r := pick(c); r != nil {
				cell, any = row.cell(r), true
			}
			cells = append(cells, cell)
		}
		if any {
			printRow(out, cells)
		}
	}
}

func storedRow(out io.Writer, all []compared) {
	cells := []string{"bytes per sample as stored, without logs"}
	for _, c := range all {
		cells = append(cells, measured(c.stored))
	}
	printRow(out, cells)
}

func visibleCell(r *WriteReport) string {
	if r.Visible == nil || r.Visible.Count == 0 {
		return "-"
	}
	cell := fmt.Sprintf("%.0f / %.0f", r.Visible.P50, r.Visible.P99)
	if r.Visible.Unseen > 0 {
		cell += fmt.Sprintf(" (%d never)", r.Visible.Unseen)
	}
	return cell
}

// measured is a number, or a dash where nothing was measured.
func measured(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", v)
}

// last is the latest reading of the target.
func (r *WriteReport) last() *Cost {
	if r.Target.Settled != nil {
		return r.Target.Settled
	}
	return &r.Target.AtEnd
}

// queryRows prints a row for each query and concurrency that any target was asked.
func queryRows(out io.Writer, all []compared) {
	var names []string
	cells := map[string][]string{}
	for i, c := range all {
		if c.query == nil {
			continue
		}
		for _, r := range c.query.Results {
			name := fmt.Sprintf("%s, %d at once: p50 / p99, ms", r.Query, r.Concurrency)
			if !slices.Contains(names, name) {
				names = append(names, name)
				cells[name] = slices.Repeat([]string{"-"}, len(all))
			}
			cells[name][i] = fmt.Sprintf("%.1f / %.1f", r.P50, r.P99)
			if r.Failed > 0 {
				cells[name][i] += fmt.Sprintf(" (%d of %d wrong)", r.Failed, r.Count)
			}
		}
	}
	for _, name := range names {
		printRow(out, append([]string{name}, cells[name]...))
	}
}

// partNotes says what the files of each target consist of: logs and indexes are in the bytes per sample.
func partNotes(out io.Writer, all []compared) {
	fmt.Fprintln(out)
	for _, c := range all {
		r := c.paced
		if r == nil {
			r = c.flat
		}
		if r == nil || r.last().Disk == nil {
			continue
		}
		var parts []string
		for _, k := range sortedKeys(r.last().Disk.Parts) {
			if b := r.last().Disk.Parts[k]; b >= 100_000 {
				parts = append(parts, fmt.Sprintf("%s %.1f MB (%.2f B/sample)", k, mb(b), float64(b)/float64(max(1, r.SamplesOnDisk))))
			}
		}
		fmt.Fprintf(out, "- %s, files after %d samples: %s\n", c.name, r.SamplesOnDisk, strings.Join(parts, ", "))
	}
}
