package rollup

// Row is one row of [Rows]. Columns that were not asked for are zero.
type Row struct {
	EndMs   int64
	N       uint32
	Flags   Flags
	StaleMs int64

	FirstMs, LastMs, PrevMs   int64
	First, Last, Prev         float64
	FirstStartMs, LastStartMs int64

	Sum, Min, Max   float64
	Comp            float64
	Resets, Changes uint32
	M2              float64
}

// Len returns the number of rows.
func (r *Rows) Len() int { return len(r.EndsMs) }

// Row returns a row.
func (r *Rows) Row(i int) Row {
	return Row{
		EndMs: r.EndsMs[i], N: r.N[i], Flags: r.Flags[i], StaleMs: at(r.StaleMs, i),
		FirstMs: at(r.FirstMs, i), First: at(r.First, i), FirstStartMs: at(r.FirstStartMs, i),
		LastMs: at(r.LastMs, i), Last: at(r.Last, i), LastStartMs: at(r.LastStartMs, i),
		PrevMs: at(r.PrevMs, i), Prev: at(r.Prev, i),
		Sum: at(r.Sum, i), Min: at(r.Min, i), Max: at(r.Max, i), Comp: at(r.Comp, i),
		Resets: at(r.Resets, i), Changes: at(r.Changes, i), M2: at(r.M2, i),
	}
}

// at returns an element of a column, or zero where nobody asked for the column.
func at[T any](column []T, i int) (v T) {
	if i < len(column) {
		v = column[i]
	}
	return v
}

// Append adds a row, of which it takes the columns c. All rows of r have to have the same.
func (r *Rows) Append(row Row, c Columns) {
	r.EndsMs = append(r.EndsMs, row.EndMs)
	r.N = append(r.N, row.N)
	r.Flags = append(r.Flags, row.Flags)
	if c&FirstColumns != 0 {
		r.FirstMs = append(r.FirstMs, row.FirstMs)
		r.First = append(r.First, row.First)
		r.FirstStartMs = append(r.FirstStartMs, row.FirstStartMs)
	}
	if c&LastColumns != 0 {
		r.LastMs = append(r.LastMs, row.LastMs)
		r.Last = append(r.Last, row.Last)
		r.LastStartMs = append(r.LastStartMs, row.LastStartMs)
	}
	if c&PrevColumns != 0 {
		r.PrevMs = append(r.PrevMs, row.PrevMs)
		r.Prev = append(r.Prev, row.Prev)
	}
	if c&SumColumn != 0 {
		r.Sum = append(r.Sum, row.Sum)
	}
	if c&MinColumn != 0 {
		r.Min = append(r.Min, row.Min)
	}
	if c&MaxColumn != 0 {
		r.Max = append(r.Max, row.Max)
	}
	if c&CompColumn != 0 {
		r.Comp = append(r.Comp, row.Comp)
	}
	if c&ResetsColumn != 0 {
		r.Resets = append(r.Resets, row.Resets)
	}
	if c&ChangesColumn != 0 {
		r.Changes = append(r.Changes, row.Changes)
	}
	if c&M2Column != 0 {
		r.M2 = append(r.M2, row.M2)
	}
	if c&StaleColumn != 0 {
		r.StaleMs = append(r.StaleMs, row.StaleMs)
	}
}

// AppendRows adds the rows [from, to) of other with the columns that it has.
func (r *Rows) AppendRows(other *Rows, from, to int) {
	r.EndsMs = append(r.EndsMs, other.EndsMs[from:to]...)
	r.N = append(r.N, other.N[from:to]...)
	r.Flags = append(r.Flags, other.Flags[from:to]...)
	r.FirstMs = appendColumn(r.FirstMs, other.FirstMs, from, to)
	r.First = appendColumn(r.First, other.First, from, to)
	r.FirstStartMs = appendColumn(r.FirstStartMs, other.FirstStartMs, from, to)
	r.LastMs = appendColumn(r.LastMs, other.LastMs, from, to)
	r.Last = appendColumn(r.Last, other.Last, from, to)
	r.LastStartMs = appendColumn(r.LastStartMs, other.LastStartMs, from, to)
	r.PrevMs = appendColumn(r.PrevMs, other.PrevMs, from, to)
	r.Prev = appendColumn(r.Prev, other.Prev, from, to)
	r.Sum = appendColumn(r.Sum, other.Sum, from, to)
	r.Min = appendColumn(r.Min, other.Min, from, to)
	r.Max = appendColumn(r.Max, other.Max, from, to)
	r.Comp = appendColumn(r.Comp, other.Comp, from, to)
	r.Resets = appendColumn(r.Resets, other.Resets, from, to)
	r.Changes = appendColumn(r.Changes, other.Changes, from, to)
	r.M2 = appendColumn(r.M2, other.M2, from, to)
	r.StaleMs = appendColumn(r.StaleMs, other.StaleMs, from, to)
}

// appendColumn appends part of a column, which is empty where nobody asked for it.
func appendColumn[T any](dst, column []T, from, to int) []T {
	if len(column) == 0 {
		return dst
	}
	return append(dst, column[from:to]...)
}

// Slice returns the rows [from, to), which share their memory with r.
func (r *Rows) Slice(from, to int) Rows {
	return Rows{
		EndsMs: r.EndsMs[from:to], N: r.N[from:to], Flags: r.Flags[from:to], StaleMs: part(r.StaleMs, from, to),
		FirstMs: part(r.FirstMs, from, to), First: part(r.First, from, to), FirstStartMs: part(r.FirstStartMs, from, to),
		LastMs: part(r.LastMs, from, to), Last: part(r.Last, from, to), LastStartMs: part(r.LastStartMs, from, to),
		PrevMs: part(r.PrevMs, from, to), Prev: part(r.Prev, from, to),
		Sum: part(r.Sum, from, to), Min: part(r.Min, from, to), Max: part(r.Max, from, to), Comp: part(r.Comp, from, to),
		Resets: part(r.Resets, from, to), Changes: part(r.Changes, from, to), M2: part(r.M2, from, to),
	}
}

func part[T any](column []T, from, to int) []T {
	if len(column) == 0 {
		return nil
	}
	return column[from:to]
}

// Reset empties the columns and keeps their memory.
func (r *Rows) Reset() {
	*r = Rows{
		EndsMs: r.EndsMs[:0], N: r.N[:0], Flags: r.Flags[:0], StaleMs: r.StaleMs[:0],
		FirstMs: r.FirstMs[:0], First: r.First[:0], FirstStartMs: r.FirstStartMs[:0],
		LastMs: r.LastMs[:0], Last: r.Last[:0], LastStartMs: r.LastStartMs[:0],
		PrevMs: r.PrevMs[:0], Prev: r.Prev[:0],
		Sum: r.Sum[:0], Min: r.Min[:0], Max: r.Max[:0], Comp: r.Comp[:0],
		Resets: r.Resets[:0], Changes: r.Changes[:0], M2: r.M2[:0],
	}
}
