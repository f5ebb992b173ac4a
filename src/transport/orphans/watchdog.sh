# Outlives its host for a moment, to end what the host leaves behind. On stdin it is told which process
# groups there are; where stdin ends without a farewell, the host is gone, and they are killed.
# $1: how the limit begins that marks the host's processes, if they are marked.
trap '' HUP INT QUIT ALRM TERM USR1 USR2 PIPE TSTP TTIN TTOU
exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-

# A variable for each, for a list would be copied with every line.
while read -r what one two; do
    case $what in
    announced) eval "announced_$one=." ;;
    withdrawn) unset "announced_$one" ;;
    started)
        eval "group_$one=."
        unset "announced_${two:-none}"
        ;;
    gone) unset "group_$one" ;;
    farewell) exit 0 ;;
    esac
done

# of KIND: the numbers of that kind.
of() {
    set | sed -n "s/^$1_\([0-9][0-9]*\)=.*/\1/p" | tr '\n' ' '
}
groups=" $(of group)" announced=" $(of announced)"

# Those of whom the host did not live to tell: one end of a pipe that was announced is theirs.
unregistered() {
    [ "$announced" = ' ' ] && return
    ls -l /proc/[0-9]*/fd/[012] 2>/dev/null | while read -r line; do
        pipe=${line##*'-> pipe:['}
        pid=${line##*' /proc/'}
        case $announced in
        *" ${pipe%]} "*) echo "${pid%%/*}" ;;
        esac
    done
}

# Those who bear the mark, whatever group or session they are in, and whoever their parent is.
marked() {
    [ -n "$1" ] && grep -ls "^Max realtime timeout  *$1[0-9]\{7\} " /proc/[0-9]*/limits 2>/dev/null
}

# lives PID: whether it is more than a zombie, which nobody may ever collect.
lives() {
    read -r stat 2>/dev/null <"/proc/$1/stat" || return
    case ${stat##*') '} in
    [ZX]*) return 1 ;;
    esac
}

rounds=0
while [ "$rounds" -lt 40 ]; do
    found=
    for group in $groups; do
        # Where there are marks, they say whether anything is left.
        kill -s KILL -- "-$group" 2>/dev/null && [ -z "$1" ] && found=yes
    done
    for pid in $(unregistered); do
        kill -s KILL -- "-$pid" 2>/dev/null
        kill -s KILL "$pid" 2>/dev/null && found=yes
    done
    for path in $(marked "$1"); do
        pid=${path#/proc/}
        pid=${pid%/limits}
        lives "$pid" && kill -s KILL "$pid" 2>/dev/null && found=yes
    done
    [ -z "$found" ] && exit 0
    rounds=$((rounds + 1))
    sleep 0.05 2>/dev/null || sleep 1
done
