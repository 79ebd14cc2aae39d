package jose

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/bits"
	"unicode/utf8"
)

const (
	maxDepth   = 32
	maxMembers = 256 // of one object; the search for doubles is quadratic
)

// member is one name and value of an object, as positions in its text. A token is at most 7 KiB.
type member struct {
	nameStart, nameEnd   uint16 // without the quotes
	valueStart, valueEnd uint16
}

func (m member) name(b []byte) []byte  { return b[m.nameStart:m.nameEnd] }
func (m member) value(b []byte) []byte { return b[m.valueStart:m.valueEnd] }

// members is the index of an object's top level. It holds its first entries itself and no pointer
// to itself, so that it can stay on a stack, or in the waybill that it belongs to.
type members struct {
	n       int
	escaped bool // some name holds an escape
	room    [20]member
	more    []member
}

func (l *members) push(m member) {
	if l.n < len(l.room) {
		l.room[l.n] = m
	} else {
		l.more = append(l.more[:l.n-len(l.room)], m)
	}
	l.n++
}

func (l *members) at(i int) *member {
	if i < len(l.room) {
		return &l.room[i]
	}
	return &l.more[i-len(l.room)]
}

var (
	errSyntax    = errors.New("not strict JSON")
	errDuplicate = errors.New("a member stands twice")
	errDepth     = errors.New("nested too deeply")
	errCount     = errors.New("too many members")
)

// scan indexes the object b. It is stricter than encoding/json: no white space, no name twice in
// one object, no invalid UTF-8, no lone surrogate, nothing behind the object.
func (l *members) scan(b []byte) error {
	if len(b) > MaxToken {
		return errSyntax
	}
	l.n = 0
	s := scanner{members: l, b: b}
	if err := s.object(1); err != nil {
		return err
	}
	if s.i != len(b) {
		return errSyntax
	}
	return nil
}

// find returns the value of a name that needs no escaping, or nil.
func (l *members) find(b []byte, name string) []byte {
	for i := range l.n {
		if m := l.at(i); string(m.name(b)) == name {
			return m.value(b)
		}
	}
	return nil
}

// ValidValue reports whether b is one JSON value in the strict form that a payload may hold.
func ValidValue(b []byte) bool {
	if len(b) > MaxToken {
		return false
	}
	s := scanner{members: new(members), b: b}
	return s.value(1) == nil && s.i == len(b)
}

// scanner walks a text. Its members are a stack: those of the objects that it is inside of.
type scanner struct {
	*members
	b []byte
	i int
}

func (s *scanner) next() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.i++
	return true
}

func (s *scanner) value(depth int) error {
	switch s.next() {
	case '"':
		_, err := s.str()
		return err
	case '{':
		outer := s.n
		err := s.object(depth + 1)
		s.n = outer
		return err
	case '[':
		return s.array(depth + 1)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return s.number()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return errSyntax
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.b[s.i:], []byte(word)) {
		return errSyntax
	}
	s.i += len(word)
	return nil
}

// object reads an object and leaves its members on the stack.
func (s *scanner) object(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	if !s.take('{') {
		return errSyntax
	}
	if s.take('}') {
		return nil
	}
	first := s.n
	var names map[string]bool // after their escapes, from the first name on that has one
	for {
		nameStart := s.i + 1
		escaped, err := s.str()
		if err != nil {
			return err
		}
		m := member{nameStart: uint16(nameStart), nameEnd: uint16(s.i - 1)}
		if escaped && names == nil {
			names = make(map[string]bool)
			for i := first; i < s.n; i++ {
				names[unquote(s.at(i).name(s.b))] = true
			}
		}
		if s.stands(m, first, names) {
			return errDuplicate
		}
		if s.n-first == maxMembers {
			return errCount
		}
		if !s.take(':') {
			return errSyntax
		}
		m.valueStart = uint16(s.i)
		if err := s.value(depth); err != nil {
			return err
		}
		m.valueEnd = uint16(s.i)
		s.push(m)
		if s.take('}') {
			s.escaped = names != nil // the outermost object comes last
			return nil
		}
		if !s.take(',') {
			return errSyntax
		}
	}
}

func (s *scanner) array(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	s.i++
	if s.take(']') {
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return errSyntax
		}
	}
}

// str reads a string and reports whether it holds an escape.
func (s *scanner) str() (escaped bool, err error) {
	if !s.take('"') {
		return false, errSyntax
	}
	for {
		s.i += plainRun(s.b[s.i:])
		switch c := s.next(); {
		case c == '"':
			s.i++
			return escaped, nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return true, err
			}
		case c < utf8.RuneSelf: // a control character, or the end
			return escaped, errSyntax
		default:
			r, n := utf8.DecodeRune(s.b[s.i:])
			if r == utf8.RuneError && n == 1 {
				return escaped, errSyntax
			}
			s.i += n
		}
	}
}

// plainRun returns how many bytes of ASCII at the front of b stand in a string for themselves: no
// quote, no backslash, no control character. It looks at eight at a time, because long claims are
// mostly such runs.
func plainRun(b []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		// The high bit of a byte becomes set if the byte is below 0x20, a quote, a backslash or not
		// ASCII. A borrow can set it by mistake, but only above a byte that is flagged rightly, and
		// the lowest one counts.
		stop := ((w - ones*0x20) | ((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones) | w) & highs
		if stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

func (s *scanner) escape() error {
	if s.i+1 >= len(s.b) {
		return errSyntax
	}
	switch s.b[s.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return nil
	case 'u':
	default:
		return errSyntax
	}
	r, ok := s.hex4()
	if !ok {
		return errSyntax
	}
	if r < 0xd800 || r > 0xdfff {
		return nil
	}
	// A surrogate stands only as the high half of a pair (RFC 8259, section 7).
	if r > 0xdbff || s.i+1 >= len(s.b) || s.b[s.i] != '\\' || s.b[s.i+1] != 'u' {
		return errSyntax
	}
	if low, ok := s.hex4(); !ok || low < 0xdc00 || low > 0xdfff {
		return errSyntax
	}
	return nil
}

// hex4 reads the \uXXXX that it stands on.
func (s *scanner) hex4() (rune, bool) {
	if s.i+6 > len(s.b) {
		return 0, false
	}
	var r rune
	for _, c := range s.b[s.i+2 : s.i+6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	s.i += 6
	return r, true
}

func (s *scanner) number() error {
	s.take('-')
	switch c := s.next(); {
	case c == '0':
		s.i++
	case '1' <= c && c <= '9':
		s.digits()
	default:
		return errSyntax
	}
	if s.take('.') && s.digits() == 0 {
		return errSyntax
	}
	if c := s.next(); c == 'e' || c == 'E' {
		s.i++
		if c := s.next(); c == '+' || c == '-' {
			s.i++
		}
		if s.digits() == 0 {
			return errSyntax
		}
	}
	return nil
}

func (s *scanner) digits() int {
	n := 0
	for _, c := range s.b[s.i:] {
		if c < '0' || c > '9' {
			break
		}
		n++
	}
	s.i += n
	return n
}

// stands reports whether m's name is one of its object's already, whose members are on the stack
// from first on. Names are the same if encoding/json would think so: if there are escapes among
// them, names holds what they stand for, and gets m's.
func (s *scanner) stands(m member, first int, names map[string]bool) bool {
	if names == nil {
		for i := first; i < s.n; i++ {
			other := s.at(i)
			if other.nameEnd-other.nameStart == m.nameEnd-m.nameStart && s.b[other.nameStart] == s.b[m.nameStart] &&
				bytes.Equal(m.name(s.b), other.name(s.b)) {
				return true
			}
		}
		return false
	}
	name := unquote(m.name(s.b))
	twice := names[name]
	names[name] = true
	return twice
}

// unquote resolves the escapes of a string that the scanner has accepted.
func unquote(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	quoted := append(append([]byte{'"'}, b...), '"')
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		panic("jose: the scanner accepted a string that encoding/json does not")
	}
	return s
}

// plainString returns the content of a JSON string without escapes.
func plainString(v []byte) ([]byte, bool) {
	if len(v) < 2 || v[0] != '"' || bytes.IndexByte(v, '\\') >= 0 {
		return nil, false
	}
	return v[1 : len(v)-1], true
}
