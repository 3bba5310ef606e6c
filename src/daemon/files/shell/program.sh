# What works on files where a server has no SFTP, and as root. Read by sh(1) from its standard input, with the
# words after it one a line: nothing of it stands in a command line. Answers are fields that end with a NUL.

LC_ALL=C; export LC_ALL
# None of the account's own: who may write files there must not be able to have them run by this.
PATH=/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin:/run/current-system/sw/bin; export PATH
unset CDPATH
set -f
nl='
'

# A word: what is no plain character is written as printf(1) reads it.
word() {
  IFS= read -r w || exit 9
  case $w in *\\*) w=$(printf "$w."); w=${w%.} ;; esac
}
say() { printf '%s\000' "$@"; }
die() { say "!$1"; exit 3; }

word; printf '\000%s\000' "$w"
word; root=$w
[ -z "$root" ] || [ "$(id -u)" = 0 ] || die root

# Of each: type and rights in hexadecimal digits, size, owner, group, time, device:inode.
if stat -c %f / >/dev/null 2>&1; then
  look() { stat -c '%f %s %u %g %Y %d:%i' "$@"; }
elif stat -f %Xp / >/dev/null 2>&1; then
  look() { stat -f '%Xp %z %u %g %m %d:%i' "$@"; }
else
  die stat
fi
leads() { t=$(readlink "$1"; printf .); t=${t%"$nl".}; }
is_there() { [ -e "$1" ] || [ -L "$1" ]; }

# Whether mv or ln can take its last word for a name alone. Without it a directory there, or a link to one, is gone
# into, which nobody judged.
itself() { case $("$1" -T 2>&1 </dev/null) in *ption*T*) return 1 ;; esac; }
mv_() {
  if itself mv; then set -- -T "$@"
  elif [ -d "$n" ]; then [ -L "$n" ] && rm -f "$n" || die elsewhere
  fi
  mv "$@" "$n" </dev/null
}
ln_() {
  if itself ln; then set -- -T "$@"
  elif [ -d "$n" ]; then die elsewhere
  fi
  ln "$@" "$n"
}

# Where a path leads that is there: r.
follow() {
  f=$1; c=0
  while [ -L "$f" ]; do
    c=$((c + 1)); [ "$c" -le 40 ] || return 1
    leads "$f"
    case $t in /*) f=$t ;; *) f=${f%/*}/$t ;; esac
  done
  if [ -d "$f" ]; then d=$f; b=
  elif [ -e "$f" ]; then d=${f%/*}; d=${d:-/}; b=${f##*/}
  else return 1
  fi
  below "$d" "$b"
}

# The name b in the directory d, wherever that is: r.
below() {
  r=$(cd -P "$1" 2>/dev/null && pwd -P && printf .)
  case $r in /*) r=${r%"$nl".} ;; *) return 1 ;; esac
  [ -z "$2" ] || r=${r%/}/$2
}

# Directory and name of a path: d and b. Fails where its last name is none.
parts() {
  g=$1
  while case $g in */) [ "$g" != / ] ;; *) false ;; esac; do g=${g%/}; done
  d=${g%/*}; d=${d:-/}; b=${g##*/}
  case $b in ''|.|..) return 1 ;; esac
}

# How: the last name is followed, or itself, or may be new; `write` and `put`: it may be missing, and is no
# link that leads nowhere; what a link will lead to: what is missing of it is followed by no `..`, and is no link.
resolved() {
  case $1 in write|new-write) [ ! -L "$2" ] || [ -e "$2" ] || die nowhere ;; esac
  case $1 in
    itself) parts "$2" || die name; below "$d" "$b" ;;
    follow) follow "$2" ;;
    write) follow "$2" || { parts "$2" || die name; below "$d" "$b"; } ;;
    new|new-write)
      follow "$2" && return
      h=$2; n=
      while parts "$h" || die name; do
        h=$d; n=/$b$n
        if follow "$h"; then r=${r%/}$n; return; fi
        case $h in /|.) return 1 ;; esac
      done ;;
    leads)
      follow "$2" && return
      h=$2; n=
      while parts "$h"; do
        [ ! -L "$h" ] || return 1
        h=$d; n=/$b$n
        if follow "$h"; then r=${r%/}$n; return; fi
      done
      return 1 ;;
  esac
}

resolve() {
  word; many=$w; word; count=$w
  follow . || exit 1
  say "$r"
  while [ "$count" -gt 0 ]; do
    count=$((count - 1))
    word; how=$w; word
    if [ "$many" ]; then
      found=$(resolved "$how" "$w" >/dev/null 2>&1 && printf '%s.' "$r")
      say "${found%.}"
    elif resolved "$how" "$w"; then say "=$r"
    else
      case $how in follow) ls -d "$w" ;; *) parts "$w"; ls -d "$d/." ;; esac >/dev/null
      exit 1
    fi
  done
}

# Goes to a directory that was resolved, and is still itself. From here on it is held, whatever gets its name.
go() {
  cd -P "$1" || { ls -d "$1/." >/dev/null; exit 1; }
  stays "$1"
}
stays() {
  here=$(pwd -P; printf .)
  case $here in "$1$nl." | "/$1$nl.") ;; *) die elsewhere ;; esac
}
enter() {
  case $1 in /) n=.; go / ;; *) n=./${1##*/}; d=${1%/*}; go "${d:-/}" ;; esac
}

# The name here is a file: a.
file() {
  [ ! -L "$n" ] || die elsewhere
  a=$(look "$n") || exit 1
  [ ! -d "$n" ] || die directory
  [ -f "$n" ] || die other
}
# What is open as 3 is what has the name: o.
same() {
  [ ! -L "$n" ] || die elsewhere
  o=$(look "$n") || exit 1
  held=$o
  [ ! -e /proc/self/fd/3 ] || held=$(look -L /proc/self/fd/3 3<&3)
  [ "${a##* }" = "${o##* }" ] && [ "${held##* }" = "${o##* }" ] || die elsewhere
}
hash() {
  if command -v sha256sum; then sha256sum <&3
  elif command -v shasum; then shasum -a 256 <&3
  elif command -v openssl; then openssl dgst -sha256 -r <&3
  elif command -v sha256; then sha256 <&3
  else return 1
  fi | { IFS= read -r tool; read -r hashed _ && printf %s "$hashed"; }
}

stat_() {
  word; enter "$w"
  a=$(look "$n") || exit 1
  t=; [ ! -L "$n" ] || leads "$n"
  say ok "$a" "$t"
}

list() {
  word; count=$w
  while [ "$count" -gt 0 ]; do
    count=$((count - 1)); word
    ( list_one "$w" ) || say '!'
  done
}
list_one() {
  go "$1"
  [ -r . ] && [ -x . ] || die denied
  set +f; set --
  for f in ./..?* ./.[!.]* ./*; do
    is_there "$f" || continue
    set -- "$@" "$f"
    [ $# -lt 100 ] || { entries "$@"; set --; }
  done
  [ $# -eq 0 ] || entries "$@"
  say .
}
entries() {
  lines=$(look "$@" 2>/dev/null) || lines=$(for f; do look "$f" 2>/dev/null || echo '?'; done)
  say "$#" "$@" "$lines"
  for f; do t=; [ ! -L "$f" ] || leads "$f"; say "$t"; done
}

read_() {
  word; p=$w; word; from=$w; word; most=$w
  enter "$p"; file; reads 3<"$n"
}
reads() {
  same; say ok "$o"
  case $from.$most in
    0.) cat <&3 ;;
    0.*) head -c "$most" <&3 ;;
    *.) tail -c "+$((from + 1))" <&3 ;;
    *) tail -c "+$((from + 1))" <&3 | head -c "$most" ;;
  esac
}

tail_() {
  word; p=$w; word; lines=$w; word; on=$w
  enter "$p"; file; tails 3<"$n"
}
tails() {
  same; say ok "$o"
  [ "$on" ] || { tail -n "$lines" <&3; return; }
  tail -n "$lines" -f <&3 & t=$!
  exec 4<&0
  # It ends with whoever reads it, …
  cat <&4 >/dev/null 3<&- & c=$!
  # … and where another file has the name.
  watch 3<&- <&- & w=$!
  wait $c; kill $t $w 2>/dev/null
  exit 0
}
watch() {
  while sleep 1; do
    a=$(look "$n" 2>/dev/null) || continue
    # What is still to come of the old one comes within this time.
    [ "${a##* }" = "${o##* }" ] || { sleep 2; kill $c; return; }
  done
}

sum() { word; enter "$w"; file; sums 3<"$n"; }
sums() { same; say ok "$o"; s=$(hash) && [ "$s" ] || die hash; say ok "$s"; }

space() {
  word; if [ -d "$w" ]; then go "$w"; n=.; else enter "$w"; fi
  k=$(df -P -k "$n") || exit 1
  i=$(df -P -i "$n" 2>/dev/null)
  say ok "$k" "$i"
}

# Makes the directories that are missing, and goes there.
deep() {
  if cd -P "$1" 2>/dev/null; then stays "$1"; return; fi
  d=${1%/*}
  deep "${d:-/}" && mkdir "./${1##*/}" && cd -P "./${1##*/}"
}

make() {
  word; p=$w; word; parents=$w; word; mode=$w; word; again=$w; word; time=$w
  if [ "$parents" ]; then d=${p%/*}; deep "${d:-/}" || exit 1; fi
  enter "$p"; already=
  if [ -d "$n" ] && [ ! -L "$n" ] && [ "$parents$again" ]; then already=1
  elif is_there "$n"; then die exists
  else mkdir "$n" || exit 1
  fi
  if [ "$mode$time" ] && [ -z "$already" -o "$again" ]; then
    go "$p"
    [ -z "$mode" ] || chmod "$mode" . || exit 1
    [ -z "$time" ] || TZ=UTC0 touch -c -t "$time" . || exit 1
  fi
  say ok "$already"
}

# What a person was shown has the name here still: nothing, a content by its sum, or what is known of anything else.
expects() {
  case $1 in
    '') return ;;
    none) ! is_there "$n" || die shown; return ;;
  esac
  a=$(look "$n" 2>/dev/null) || die shown
  case $1 in
    directory:*) [ ! -L "$n" ] && [ -d "$n" ] || die shown ;;
    link:*) [ -L "$n" ] || die shown ;;
    seen:*) ;;
    *)
      [ ! -L "$n" ] && [ -f "$n" ] || die shown
      hashes 3<"$n" || exit 1
      [ "$s" = "$1" ] || die shown
      return ;;
  esac
  set -- "$1" $a
  case $1 in
    seen:*) [ "$1" = "seen:$3:$6" ] ;;
    *) [ "${1#*:}" = "$6" ] ;;
  esac || die shown
}

move() {
  word; from=$w; word; to=$w; word; replace=$w; word; old_shown=$w; word; new_shown=$w
  enter "$from"; expects "$old_shown"; moved=$(look "$n") || exit 1
  is_tree=; [ -L "$n" ] || [ ! -d "$n" ] || is_tree=1
  enter "$to"; h=$(look .) || exit 1
  # What is copied from one file system to another is not moved at once.
  here=${h##* }; old=${moved##* }
  [ "${here%:*}" = "${old%:*}" ] || die device
  expects "$new_shown"
  if is_there "$n"; then
    [ "$replace" ] || die exists
    over=; [ -L "$n" ] || [ ! -d "$n" ] || over=1
    [ "$over" = "$is_tree" ] || die "${over:+directory}${is_tree:+no-directory}"
    [ -z "$over" ] || rmdir "$n" || exit 1
  fi
  [ "$new_shown" != none ] || replace=
  if [ "$replace" ]; then mv_ -f "$from"; else mv_ -n "$from"; fi || exit 1
  [ "$(look "$n")" = "$moved" ] || die exists
  say ok ''
}

remove() {
  word; p=$w; word; all=$w; word; shown=$w
  enter "$p"
  if [ ! -L "$n" ] && [ -d "$n" ]; then
    [ "$all" ] || die tree
    expects "$shown"
    a=$(look "$n") || exit 1
    ( held ) || exit
    o=$(look "$n") && [ "${a##* }" = "${o##* }" ] || die elsewhere
    rmdir "$n" || { ls "$n" >/dev/null; exit 1; }
  else
    is_there "$n" || { ls -d "$n" >/dev/null; exit 1; }
    expects "$shown"
    rm -f "$n" || exit 1
    say go
  fi
  say ok ''
}
# The directory n, with all that is in it: it is this one from here on, whatever gets its name.
held() {
  # One that may not be entered is removed if it is empty.
  cd -P "$n" 2>/dev/null || { say go; exit 0; }
  o=$(look .) && [ "${a##* }" = "${o##* }" ] || die elsewhere
  say go
  set +f; set --
  for f in ./..?* ./.[!.]* ./*; do
    is_there "$f" || continue
    set -- "$@" "$f"
    [ $# -lt 100 ] || { rm -rf "$@" || exit 1; set --; }
  done
  [ $# -eq 0 ] || rm -rf "$@" || exit 1
}

rights() {
  word; p=$w; word; mode=$w
  enter "$p"
  [ ! -L "$n" ] || die elsewhere
  a=$(look "$n") || exit 1
  if [ "$((0x${a%% *} & 0xfff))" = "$(printf %d "$mode")" ]; then say ok 1; return; fi
  if [ -d "$n" ]; then go "$p"; chmod "$mode" .
  elif [ -f "$n" ] && [ -r "$n" ]; then opened_rights 3<"$n"
  else chmod "$mode" "$n"
  fi || exit 1
  say ok ''
}
opened_rights() {
  same; f=$n; [ ! -e /proc/self/fd/3 ] || f=/proc/self/fd/3
  chmod "$mode" "$f" 3<&3
}

link() {
  word; p=$w; word; target=$w; word; again=$w
  enter "$p"
  if [ -L "$n" ]; then
    leads "$n"
    if [ "$t" = "$target" ]; then say ok 1; return; fi
    [ "$again" ] || die exists
    rm -f "$n" || exit 1
  elif [ -e "$n" ]; then die exists
  fi
  ln_ -s -- "$target" || exit 1
  say ok ''
}

# All of the content under a name beside it, then the name. Where it ends early nothing is left.
write() {
  word; p=$w; word; how=$w; word; parents=$w; word; mode=$w; word; sum=$w; word; size=$w
  word; new=./$w; word; sync=$w; word; time=$w
  if [ "$parents" ]; then d=${p%/*}; deep "${d:-/}" || exit 1; fi
  enter "$p"; dir=${p%/*}; dir=${dir:-/}
  before=; made=
  if [ -L "$n" ]; then die nowhere
  elif [ -e "$n" ]; then
    file; before=$a
    [ "$how" != create ] || die exists
  fi
  case $sum in
    '') ;;
    none) [ -z "$before" ] || die changed ;;
    seen:*) set -- $before; [ "$sum" = "seen:$2:$5" ] || die changed ;;
    *) [ "$before" ] || die changed ;;
  esac
  # Its directory is held.
  say go
  case $sum in ''|none|seen:*) ;; *) hashed_so ;; esac
  [ -z "$before$mode" ] || umask 077
  trap '[ -z "$made" ] || rm -f "$new"' EXIT
  trap 'exit 1' HUP INT TERM PIPE
  # Not over anything, and through no link.
  set -C
  fill 3>"$new" || exit 1
}
hashed_so() {
  hashes 3<"$n" || exit 1
  [ "$s" = "$sum" ] || die "changed $s"
}
hashes() { same; s=$(hash) && [ "$s" ] || die hash; }
fill() {
  made=1; set +C
  f=$new; [ ! -e /proc/self/fd/3 ] || f=/proc/self/fd/3
  say go
  [ "$size" = 0 ] || head -c "$size" >&3 || exit 1
  id=$(look -L "$f" 3>&3) || exit 1
  set -- $id
  [ "$2" = "$size" ] || die cut
  id=$6; kept=; synced=
  if [ "$how" = append ] && [ "$before" ]; then
    append 3>>"$n" || exit 1
    return
  fi
  if [ "$before" ]; then
    own="$3:$4"; set -- $before
    kept=1
    [ "$own" = "$3:$4" ] || chown "$3:$4" "$f" 2>/dev/null 3>&3 || kept=0
    if [ -z "$mode" ]; then
      # It would run with other rights than it did.
      mode=$((0x$1 & 0xfff)); [ "$kept" = 1 ] || mode=$((mode & 0x3ff))
      mode=$(printf %04o "$mode")
    fi
  fi
  [ -z "$mode" ] || chmod "$mode" "$f" 3>&3 || exit 1
  [ -z "$time" ] || TZ=UTC0 touch -c -t "$time" "$f" 3>&3 || exit 1
  synced
  may_go_on
  if [ "$sum" ]; then [ "$(look "$n" 2>/dev/null)" = "$before" ] || die changed; fi
  own=$(look "$new") && [ ! -L "$new" ] && [ "${own##* }" = "$id" ] || die elsewhere
  if [ -z "$before" ] && { [ "$how" = create ] || [ "$sum" = none ]; }; then
    ! is_there "$n" || die exists
    ln_ "$new" 2>/dev/null || { ! is_there "$n" || die exists; mv_ -n "$new"; } || exit 1
    rm -f "$new"
  else
    [ ! -d "$n" ] || die directory
    mv_ -f "$new" || exit 1
  fi
  made=
  o=$(look "$n") || exit 1
  [ "${o##* }" = "$id" ] || die elsewhere
  say ok "$o" "$synced" "$kept" "${before:+1}"
}
# What is left is short, and done while nobody else gives names another meaning.
may_go_on() {
  say go; word
  # Some shells remember where they were.
  cd -P . 2>/dev/null || die elsewhere
  stays "$dir"
}
append() {
  same
  case $sum in ''|seen:*) ;; *) hashed_so ;; esac
  f=$n; [ ! -e /proc/self/fd/3 ] || f=/proc/self/fd/3
  may_go_on
  [ -z "$sum" ] || [ "$(look "$n")" = "$before" ] || die changed
  a=$(look -L "$f" 3>&3) || exit 1
  cat "$new" >&3 || { back; exit 1; }
  say ok
  [ -z "$mode" ] || chmod "$mode" "$f" 3>&3 || exit 1
  synced
  o=$(look "$n") || exit 1
  say "$o" "$synced" 1 1
}
# To what stood there before, where no more than a piece of this is behind it.
back() {
  set -- $a; was=$2
  set -- $(look -L "$f" 3>&3); now=$2
  [ "$now" -gt "$was" ] || return
  behind=$(tail -c "+$((was + 1))" "$n" 2>/dev/null | cksum)
  [ "$behind" = "$(head -c "$((now - was))" "$new" | cksum)" ] &&
    dd if=/dev/null of="$f" bs=1 seek="$was" 2>/dev/null 3>&3 || die "piece $now"
}
synced() {
  [ -z "$sync" ] || ! dd if=/dev/null conv=fsync,notrunc >&3 2>/dev/null || synced=1
}

word
case $w in
  resolve|list|sum|space|make|move|remove|rights|link|write) "$w" ;;
  stat|read|tail) "${w}_" ;;
esac
