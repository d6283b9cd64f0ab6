package kernel

// sliding aggregates what lies in a window that moves forward, in time that does not depend on how much that is: what
// came in since the last turn is aggregated as it comes, and what was there before lies as the aggregates of all its
// ends, of which leaving takes the first away.
type sliding[T any] struct {
	merge func(a, b T) T // a before b; neither is changed

	ends []T // the aggregates of what is left of the old part, the shortest first
	news []T // the new part
	all  T   // its aggregate
}

func (s *sliding[T]) push(v T) {
	if len(s.news) == 0 {
		s.all = v
	} else {
		s.all = s.merge(s.all, v)
	}
	s.news = append(s.news, v)
}

// pop takes out the oldest element.
func (s *sliding[T]) pop() {
	if len(s.ends) == 0 {
		for i := len(s.news) - 1; i >= 0; i-- {
			v := s.news[i]
			if n := len(s.ends); n > 0 {
				v = s.merge(v, s.ends[n-1])
			}
			s.ends = append(s.ends, v)
		}
		s.news = s.news[:0]
	}
	s.ends = s.ends[:len(s.ends)-1]
}

// value returns the aggregate of what is in, of which there must be something.
func (s *sliding[T]) value() T {
	switch {
	case len(s.ends) == 0:
		return s.all
	case len(s.news) == 0:
		return s.ends[len(s.ends)-1]
	}
	return s.merge(s.ends[len(s.ends)-1], s.all)
}

func (s *sliding[T]) empty() bool { return len(s.ends)+len(s.news) == 0 }
